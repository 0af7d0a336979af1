"""How findings are drawn."""

"""What is claimed: the statements of the papers confronted with what simulator measures."""

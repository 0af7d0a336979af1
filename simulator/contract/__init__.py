"""What a network, an attack or a data model of your own must fulfil, checked by one call each.

    check_network(network, X, y)
    check_attack(attack, network, batch, ball)
    check_data(data)

Each runs its rules in order (:data:`NETWORK_RULES`, :data:`ATTACK_RULES`, :data:`DATA_RULES`) and
raises :class:`ContractError` at the first that is broken, with what was expected, what came, why
it matters and where the rule is written. The classes of this project go through the same calls.
"""

from simulator.contract.attacks import ATTACK_RULES, check_attack
from simulator.contract.data import DATA_RULES, check_data
from simulator.contract.networks import NETWORK_RULES, check_network, in_single
from simulator.contract.rules import ContractError, Rule

__all__ = ["ATTACK_RULES", "DATA_RULES", "NETWORK_RULES", "ContractError", "Rule", "check_attack",
           "check_data", "check_network", "in_single"]

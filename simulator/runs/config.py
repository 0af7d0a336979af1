"""The settings of one run, checked before anything is computed.

A config is plain data: numbers and words, the same in TOML, JSON and on the command line. Its
hash names the run folder, so equal settings share a folder and different ones never do.

A number may be given as a rule, an expression in other settings: ``m = "20*d"``. The config is
made of the values, and remembers the rules beside them: they are no part of its equality or its
hash, but :meth:`Config.with_` lets m follow when d is changed.

Each paper has its own settings, a subclass of :class:`Config`, which :mod:`simulator.experiments`
knows.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Self

from simulator.checks import require_choice, require_int, require_real
from simulator.names import hint
from simulator.runs.expressions import MAX_SIZE, names_in, resolve

__all__ = ["Config", "config_hash", "counted"]

FIRST_MODEL = "purification"  # of settings that name none

MAX_SEED = 2**128 - 1  # what NumPy draws as the entropy of a seed
MAX_NAME = 100  # bytes of a name, which is part of a folder's


class Config:
    """What the settings of every model share.

    A subclass is a frozen dataclass, keyword only, with fields of the types int, float and str,
    these among them; it may say more about them in the class attributes below. Integers start at
    1 and reals at 0 unless it does.

    Attributes
    ----------
    name : str
        Label of the run folder, and family of a run in a report; presets use their own name.
    seed : int
        Seed of every random stream.
    d : int
        Dimension of an input (of a patch).
    dtype : "float64" or "float32"
        Of samples, weights and products.
    threads : int
        BLAS and Numba threads (the last bit of a product depends on it).

    Notes
    -----
    ``MODEL``: name in :mod:`simulator.experiments`. ``CHOICES``: the allowed words of a setting.
    ``ZERO_ALLOWED``: integers that may be 0. ``POSITIVE``: reals that may not. ``LATER``: settings
    that came after the first release, with what runs did before.
    """

    name: str
    seed: int
    d: int
    dtype: str
    threads: int

    MODEL: ClassVar[str]
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    ZERO_ALLOWED: ClassVar[tuple[str, ...]] = ()
    POSITIVE: ClassVar[tuple[str, ...]] = ()
    LATER: ClassVar[Mapping[str, Any]] = {}

    def __post_init__(self) -> None:
        for name in self.types():
            object.__setattr__(self, name, self._checked(name, getattr(self, name)))

    @property
    def size(self) -> tuple[int, int]:
        """Two integers that tell the sizes of a family apart; d is the first."""
        raise NotImplementedError

    def experiment(self, **parts: Any) -> Any:
        """Return the objects of a run of these settings; ``parts`` replace some of them."""
        raise NotImplementedError

    @classmethod
    @cache
    def types(cls) -> dict[str, Any]:
        """Return the type of every setting, in documented order."""
        return {field.name: field.type
                for field in dataclasses.fields(cls)}  # type: ignore[arg-type]

    @classmethod
    def known_key(cls, key: str) -> str:
        """Return ``key`` if it is a setting; otherwise raise ValueError with the nearest name."""
        names = cls.types()
        if key not in names:
            raise ValueError(f"{key}: unknown setting; "
                             f"{hint(key, names, 0.5, 'the settings are')}")
        return key

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Build a config from settings that may be expressions.

        ``model`` may be among them.

        Raises
        ------
        TypeError, ValueError
            Unknown or missing settings, values of the wrong type or out of range.
        """
        settings = {key: value for key, value in settings.items()
                    if key != "model" or value != cls.MODEL}
        for key in settings:
            cls.known_key(key)
        settings = dict(cls.LATER) | settings
        missing = [name for name in cls.types() if name not in settings]
        if missing:
            raise ValueError(f"{', '.join(missing)}: expected a value, got none")
        texts = frozenset(name for name, kind in cls.types().items() if kind is str)
        config = cls(**resolve(settings, texts, cls._checked))
        rules = {name: str(settings[name]) for name in cls.types() if name not in texts
                 and isinstance(settings[name], str) and names_in(settings[name])}
        object.__setattr__(config, "_rules", rules)
        return config

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain data, in their documented order, after the model."""
        return {"model": self.MODEL} | {name: getattr(self, name) for name in self.types()}

    @property
    def rules(self) -> dict[str, str]:
        """The settings that were given as expressions in others, as they were written."""
        return dict(getattr(self, "_rules", {}))

    def to_settings(self) -> dict[str, Any]:
        """Return the settings with rules in the place of the values that follow from them.

        :meth:`from_settings` takes them back, to an equal config with the same rules.
        """
        return self.to_dict() | self.rules

    def with_(self, /, **changes: Any) -> Self:
        """Return the same settings with some changed; those that follow from rules follow.

        A rule that is itself changed is replaced. (``dataclasses.replace`` knows no rules: it
        would keep ``m`` where ``m = "20*d"`` and d is changed.)

        Raises
        ------
        TypeError, ValueError
            As :meth:`from_settings`.
        """
        return type(self).from_settings(self.to_settings() | changes)

    def with_seed(self, seed: int) -> Self:
        """Return the same settings with another seed."""
        return self.with_(seed=seed)

    @classmethod
    def _checked(cls, name: str, value: Any) -> Any:
        """Return the value of one setting in its own type, or raise TypeError / ValueError."""
        kind = cls.types()[name]
        if kind is str:
            return cls._word(name, value)
        number = require_real(name, value, high=float(MAX_SEED if name == "seed" else MAX_SIZE))
        if kind is float:
            return require_real(name, number, low=0.0, open_low=name in cls.POSITIVE)
        if not number.is_integer():
            raise ValueError(f"{name}: expected an integer, got {number} (try round(...))")
        zero = name == "seed" or name in cls.ZERO_ALLOWED
        return require_int(name, int(value), low=0 if zero else 1)

    @classmethod
    def _word(cls, name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError(f"{name}: expected a word, got {value!r}")
        if name == "dtype":
            return require_choice(name, value, ("float64", "float32"))
        if name in cls.CHOICES:
            return require_choice(name, value, cls.CHOICES[name])
        if not value.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"{name}: expected letters, digits, - and _, got {value!r}: "
                             "it names the run folder")
        if len(value.encode()) > MAX_NAME:
            raise ValueError(f"{name}: expected at most {MAX_NAME} bytes, got "
                             f"{len(value.encode())}: it names the run folder")
        return str(value)


def config_hash(config: Config) -> str:
    """Return ten hexadecimal digits that identify the settings.

    A later setting counts only where it changes what older runs did: their folders keep their
    names.
    """
    text = json.dumps(counted(config), sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def counted(config: Config) -> dict[str, Any]:
    """Return the settings that identify a run: all but later ones that change nothing."""
    later = {"model": FIRST_MODEL, **config.LATER}
    return {key: value for key, value in config.to_dict().items()
            if key not in later or value != later[key]}

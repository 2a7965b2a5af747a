"""The words of a language, from the one file of translations."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from infmap_kit.errors import InputRejected, SpecError
from infmap_kit.imaging.radiograph import InputWarning
from infmap_kit.report.numbers import decimals_of, shown_percent, shown_probability

ENGLISH = "en"
_FILE = Path(__file__).with_name("translations.toml")
_WARNINGS, _REJECTIONS = "warnings", "rejections"


class Words:
    """The words of one language.

    Parameters
    ----------
    language
        ISO 639-1 code.

    Raises
    ------
    SpecError
        Naming the languages that there are.
    """

    def __init__(self, language: str = ENGLISH) -> None:
        known = _translations()
        if language not in known:
            raise SpecError(
                f"expected a language of {', '.join(known)}, found {language!r:.40}: its words belong in "
                f"{_FILE.name}"
            )
        self.language = language
        self._words = known[language]

    def __call__(self, key: str, **filled_in: str) -> str:
        """A word or sentence, filled in."""
        return self._words[key].format_map(filled_in)

    def warning(self, warning: InputWarning) -> str:
        """A warning's sentence; one whose code has no words is said as it says itself."""
        own = self._words.get(f"{_REJECTIONS}.{warning.code}", warning.text)
        return self("warning", text=self._words.get(f"{_WARNINGS}.{warning.code}", own))

    def rejection(self, rejection: InputRejected) -> str:
        """The sentence of why a radiograph was refused; a code without words is said as it says itself."""
        return self._words.get(f"{_REJECTIONS}.{rejection.code}", f"{rejection.reason}.")

    def number(self, value: float) -> str:
        """A number with two decimals."""
        return self._written(f"{value:.2f}")

    def threshold(self, value: float) -> str:
        """A threshold, with as many decimals as it has and at least two."""
        return self._written(f"{value:.{decimals_of(value)}f}")

    def probability(self, value: float, threshold: float) -> str:
        """A probability with two decimals, on its side of 0, 1 and the threshold."""
        return self._written(shown_probability(value, threshold))

    def percent(self, value: float, cut_offs: Iterable[float] = ()) -> str:
        """A percentage with two decimals, on its side of 0, 100 and the cut-offs between grades."""
        return self("percent", number=self._written(shown_percent(value, cut_offs)))

    def _written(self, number: str) -> str:
        return number.replace(".", self._words["decimal"])

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of its texts, in their order."""
        return tuple(self._words)

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text of the language, for choosing a character set or a font."""
        return tuple(self._words.values())


def languages() -> tuple[str, ...]:
    """ISO 639-1 codes of the languages that there are."""
    return tuple(_translations())


@functools.cache
def _translations() -> Mapping[str, Mapping[str, str]]:
    words = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    for own in words.values():
        for group in (_WARNINGS, _REJECTIONS):
            own |= {f"{group}.{code}": text for code, text in own.pop(group).items()}
    return words

"""Which language a page speaks, and the page's words in it.

Two languages, complete: Simplified Chinese and English. `?lang=zh` or `?lang=en` wins and travels
on in the page's own links (no cookie remembers it); without it `Accept-Language` decides (RFC 9110
section 12.5.4), and what matches neither reads English. Words live in `words`; a missing word is a
programming error that the tests find by comparing both columns, never an empty place on a page.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from werkzeug.datastructures import LanguageAccept

from provenance.domain.moments import MomentError, parse_claimed_time
from provenance.web import vocabulary, words
from provenance.web.display import drawn

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Language:
    """One of the two. `code` is the query parameter's value, `tag` the BCP 47 tag for `<html
    lang>`."""

    code: str
    tag: str
    own_name: str

    def say(self, key: str, **values: object) -> str:
        """The phrase `key` (KeyError if there is none) with `{named}` places filled in; text from
        elsewhere is put in as `display.drawn` has it."""
        safe = {k: drawn(v) if isinstance(v, str) else v for k, v in values.items()}
        return words.PHRASES[key][self._column].format(**safe)

    def counted(self, key: str, number: int) -> str:
        """The phrase for a number of things: `key.one` where English needs it, else `key.many`."""
        return self.say(f"{key}.{'one' if number == 1 else 'many'}", n=f"{number:,}")

    def term(self, table: str, code: str) -> str:
        """A vocabulary's word for `code`; a code that no table has is shown as it is, readably."""
        entry = vocabulary.TERMS[table].get(code)
        return entry[self._column] if entry else drawn(code.replace("_", " "))

    @property
    def _column(self) -> int:
        return 0 if self.code == "en" else 1

    @property
    def other(self) -> Language:
        """The language that the switch offers."""
        return CHINESE if self.code == "en" else ENGLISH

    def moment(self, text: str) -> str:
        """A claimed or ledger time for reading, in the offset that it was written with."""
        try:
            instant = parse_claimed_time(text)
        except MomentError:
            return drawn(text)
        offset = _offset_of(text)
        local = (_EPOCH + timedelta(microseconds=instant)).astimezone(timezone(offset))
        return f"{self.day(local)} {local:%H:%M} {_zone_name(offset)}"

    def day(self, moment: datetime) -> str:
        """A calendar day: `23 Nov 2026`, `2026年11月23日`."""
        if self.code == "en":
            return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"
        return f"{moment.year}年{moment.month}月{moment.day}日"

    def date(self, text: str) -> str:
        """A date of the form YYYY-MM-DD (perhaps with a time behind it) as a day, else the text."""
        try:
            return self.day(datetime.strptime(text[:10], "%Y-%m-%d").replace(tzinfo=UTC))
        except ValueError:
            return drawn(text)


ENGLISH = Language("en", "en", "English")
CHINESE = Language("zh", "zh-Hans", "中文")
LANGUAGES = {language.code: language for language in (CHINESE, ENGLISH)}


def choose(asked: str | None, accepted: LanguageAccept) -> Language:
    """The language for a request: `asked` is the `lang` parameter, None or unknown leaves the
    header."""
    if asked in LANGUAGES:
        return LANGUAGES[asked]
    for tag, quality in accepted:
        primary = tag.lower().replace("_", "-").split("-")[0]
        if quality > 0 and primary in LANGUAGES:
            return LANGUAGES[primary]
    return ENGLISH


def _offset_of(text: str) -> timedelta:
    """The offset of an RFC 3339 date-time that parse_claimed_time has accepted."""
    if text[-1] in "Zz":
        return timedelta()
    sign = -1 if text[-6] == "-" else 1
    return sign * timedelta(hours=int(text[-5:-3]), minutes=int(text[-2:]))


def _zone_name(offset: timedelta) -> str:
    minutes = round(offset.total_seconds() / 60)
    if minutes == 0:
        return "UTC"
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'+' if minutes > 0 else '-'}{hours}" + (f":{rest:02d}" if rest else "")

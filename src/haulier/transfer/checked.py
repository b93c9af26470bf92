"""A backend as the engine calls it: what it answers is looked at before anything is made of it.

A plugin's mistake is told as its own, under its name: never as a defect of ours, a broken journal, a lost lease or a
wish of the user. Answers that would make a receipt, a key or a session say more than is true are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from haulier.backends.api import (
    Abilities,
    Artifact,
    Backend,
    CommitMode,
    Held,
    HeldPart,
    Outcome,
    PartsMode,
    ResumeMode,
    Settled,
    Stored,
    Token,
    UnaskedSession,
    Upload,
)
from haulier.errors import CancelledError, HaulierError, JournalError, PluginError
from haulier.threads import Ended
from haulier.transfer.digests import new_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from haulier.backends.api import Body, LastPart, Part
    from haulier.transfer.context import RunContext

__all__ = ["CheckedBackend"]

LARGEST_TOKEN = 1024 * 1024  # bytes of JSON
_RANK = {PartsMode.WHOLE: 0, PartsMode.SEQUENTIAL: 1, PartsMode.PARALLEL: 2}


class CheckedBackend:
    """Calls a backend for one claim. Thread-safe as the backend is.

    Every method raises :class:`~haulier.errors.PluginError` for an answer that breaks the contract.

    Args:
        backend: The destination.
        context: The claim's.
    """

    def __init__(self, backend: Backend, context: RunContext) -> None:
        self.name = backend.name
        self.abilities = backend.abilities
        self.limits = backend.limits
        self._backend = backend
        self._context = context

    def complete(self, upload: Upload) -> Upload:
        """The upload with what the backend adds; what it was given comes back as it was."""
        answer = self._ask("complete", lambda: self._backend.complete(upload))
        if not isinstance(answer, Upload) or not _is_tuple(answer.artifacts):
            raise self._refusal("complete", f"{type(answer).__name__}, not an upload")
        given = len(upload.artifacts)
        kept = (answer.task, answer.item_id, answer.nonce) == (upload.task, upload.item_id, upload.nonce)
        if not kept or answer.artifacts[:given] != upload.artifacts:
            raise self._refusal("complete", "an upload that is not the one it was given: it may only add artifacts")
        for index, added in enumerate(answer.artifacts[given:], start=given):
            if not _is_added(added, index):
                raise self._refusal("complete", f"an artifact {index} whose index or size is wrong")
        return answer

    def open(self, upload: Upload) -> tuple[Token, Abilities]:
        """A session's token and abilities, which are no wider than the backend's."""
        answer = self._ask("open", lambda: self._backend.open(upload, self._context))
        if not isinstance(answer, tuple) or len(answer) != 2:  # noqa: PLR2004  a pair
            raise self._refusal("open", f"{type(answer).__name__}, not a token and abilities")
        token, abilities = answer
        self._check_token(token)
        return token, self._checked_abilities(abilities)

    def unasked(self) -> UnaskedSession | None:
        """Which sessions begin without a call."""
        declared = self._ask("unasked", lambda: self._backend.unasked)
        if declared is None or getattr(type(self._backend), "complete", Backend.complete) is not Backend.complete:
            return None
        if not isinstance(declared, UnaskedSession) or not _is_count(declared.largest):
            raise self._refusal("unasked", f"{type(declared).__name__}, not what begins without a call")
        self._check_token(Token(declared.public))
        return replace(declared, abilities=self._checked_abilities(declared.abilities))

    def held(self, upload: Upload, token: Token) -> Held:
        """What the session holds."""
        return self._held("held", self._ask("held", lambda: self._backend.held(upload, token, self._context)))

    def send(self, upload: Upload, token: Token, part: Part, body: Body) -> Held:
        """What the session holds after a part."""
        return self._held(
            "send", self._ask("send", lambda: self._backend.send(upload, token, part, body, self._context))
        )

    def commit(
        self,
        upload: Upload,
        token: Token,
        held: Held,
        digests: Mapping[int, Mapping[str, str]],
        last: LastPart | None,
    ) -> tuple[Stored, ...]:
        """What is stored. The backend gets digests of its own: a receipt must not say what it made of them."""
        own = {index: dict(found) for index, found in digests.items()}
        answer = self._ask("commit", lambda: self._backend.commit(upload, token, held, own, self._context, last))
        return self._stored("commit", answer)

    def settle(self, upload: Upload, token: Token | None) -> Settled:
        """What became of a commit: exactly one of three answers."""
        answer = self._ask("settle", lambda: self._backend.settle(upload, token, self._context))
        if not isinstance(answer, Settled) or answer.outcome not in tuple(Outcome):
            raise self._refusal("settle", "something that says neither present, absent nor unknown")
        return Settled(Outcome(answer.outcome), self._stored("settle", answer.stored))

    def abort(self, upload: Upload, token: Token) -> None:
        """Drop the session."""
        self._ask("abort", lambda: self._backend.abort(upload, token, self._context))

    # -- what it raises ----------------------------------------------------------------------------------------

    def _ask(self, method: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Ended:
            raise
        except (JournalError, CancelledError) as error:
            if isinstance(error, CancelledError) and self._context.cancelled():
                raise
            what = f"the backend raised {type(error).__name__} in {method}, which is not its to raise: {error}"
            raise PluginError(what, where=self.name) from error
        except HaulierError as error:
            error.where = error.where or self.name
            raise
        except Exception:
            raise
        except BaseException as error:  # e.g. SystemExit: a thread is not the plugin's to end
            what = f"the backend raised {type(error).__name__} in {method}: {error}"
            raise PluginError(what, where=self.name) from error

    def _refusal(self, method: str, what: str) -> PluginError:
        return PluginError(f"the backend answered {method} with {what}", where=self.name)

    # -- what it answers ---------------------------------------------------------------------------------------

    def _check_token(self, token: Any) -> None:
        if not isinstance(token, Token):
            raise self._refusal("open", f"{type(token).__name__} for a token")
        try:
            text = json.dumps([dict(token.public), dict(token.secret)])
        except (TypeError, ValueError) as error:
            raise self._refusal("open", f"a token that is no JSON object ({error})") from error
        if len(text) > LARGEST_TOKEN:
            raise self._refusal("open", f"a token of {len(text)} bytes; {LARGEST_TOKEN} are the most")
        if token.expires_at is not None and not _is_number(token.expires_at):
            raise self._refusal("open", "a token that expires at no time in seconds")

    def _checked_abilities(self, abilities: Any) -> Abilities:
        if not isinstance(abilities, Abilities):
            raise self._refusal("open", f"{type(abilities).__name__} for abilities")
        try:
            modes = PartsMode(abilities.parts), ResumeMode(abilities.resume), CommitMode(abilities.commit)
            for name in {*abilities.part_digests, *abilities.whole_digests}:
                new_digest(name)
        except (ValueError, TypeError) as error:
            raise self._refusal("open", f"abilities that do not exist ({error})") from error
        parts, resume, commit = modes
        declared = self.abilities
        wider = _RANK[parts] > _RANK[declared.parts] or resume not in {declared.resume, ResumeMode.NONE}
        if wider or commit != declared.commit:
            raise self._refusal("open", "abilities that are not among those it declared")
        return replace(abilities, parts=parts, resume=resume, commit=commit)

    def _held(self, method: str, held: Any) -> Held:
        if not isinstance(held, Held):
            raise self._refusal(method, f"{type(held).__name__}, not what it holds")
        counts = _is_map(held.prefixes, _is_count) and _is_map(held.parts, lambda parts: _is_map(parts, _is_held_part))
        if not counts:
            raise self._refusal(method, "prefixes or parts that are no counts of bytes")
        return Held(held.prefixes, held.parts, self._stored(method, held.stored))

    def _stored(self, method: str, stored: Any) -> tuple[Stored, ...]:
        if not isinstance(stored, tuple | list) or not all(map(_is_stored, stored)):
            raise self._refusal(method, "something that is not what is stored, one by one, in texts and whole numbers")
        return tuple(stored)


def _is_added(value: object, index: int) -> bool:
    """Whether an artifact that a backend made can be sent: its bytes come with it."""
    return isinstance(value, Artifact) and value.index == index and len(value.content or b"") == value.size


def _is_tuple(value: object) -> bool:
    return isinstance(value, tuple)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_map(value: object, is_one: Callable[[Any], bool]) -> bool:
    return isinstance(value, Mapping) and all(_is_count(key) and is_one(one) for key, one in value.items())


def _is_held_part(value: object) -> bool:
    return isinstance(value, HeldPart) and _is_count(value.size) and isinstance(value.etag, str)


def _is_stored(value: object) -> bool:
    if not isinstance(value, Stored) or not (value.size is None or _is_count(value.size)):
        return False
    texts: Sequence[object] = (value.key, value.location, value.version, value.item_id)
    told: object = value.digests
    compared: object = value.compared
    digests = told.items() if isinstance(told, Mapping) else [(None, None)]
    named = all(isinstance(text, str) for text in (*texts, *(text for pair in digests for text in pair)))
    return named and isinstance(compared, bool)

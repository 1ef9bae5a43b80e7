"""The limits in force: the configuration's, and what operators changed since. Tightening is free, loosening is not."""

from msgspec import structs

from robotrader.model import ConfigError, Event, RequestReceived, RiskLimit, RunStarted, SetLimits
from robotrader.risk.approvals import Approvals
from robotrader.risk.limits import loosened, parse_limit

KEPT = "the configuration is looser than the limits in force, and nobody approved it"


class LimitBook:
    """Versions of the limits; `limits` are those in force, which name their version once it is not the first."""

    def __init__(self) -> None:
        self.limits = RiskLimit(profile="none")
        self._version = 0
        self._configured: RiskLimit | None = None
        self._approvals = Approvals()

    def begin(self, event: RunStarted) -> list[SetLimits]:
        """Take over a run's configuration: what it changed since the last run, as far as that is tighter."""
        before, self._configured = self._configured, event.limits
        if before is None:
            self.limits = event.limits
            return []
        changed = {n: v for n in _names(event.limits) if (v := getattr(event.limits, n)) != getattr(before, n)}
        asked = structs.replace(self.limits, **changed)
        kept = loosened(self.limits, asked)
        limits = structs.replace(asked, **{name: getattr(self.limits, name) for name in kept})
        if all(getattr(limits, n) == getattr(event.limits, n) for n in _names(limits)):
            self.limits = event.limits  # it says itself what is in force
            return []
        reason = f"{KEPT}: {', '.join(kept)}" if kept else "what operators set stays in force"
        return [self._set(event, limits, kept or tuple(changed), reason=reason, actor="trader")]

    def change(self, event: RequestReceived) -> list[SetLimits]:
        """Carry out an operator's change; one that cannot be understood, or was not approved, changes nothing."""
        try:
            name, value = parse_limit(event.change or "")
        except ConfigError:
            return []
        limits = structs.replace(self.limits, **{name: value})
        looser = bool(loosened(self.limits, limits))
        if looser and not (event.approver and self._approved(event)):
            return []
        return [self._set(event, limits, (name,), reason=event.reason, actor=event.actor, approver=event.approver)]

    def _approved(self, event: RequestReceived) -> bool:
        return self._approvals.ask(event.change, event.actor, event.ts_event, needed=self.limits.approvers or 1)

    def _set(
        self, event: Event, limits: RiskLimit, changed: tuple[str, ...], *, reason: str, actor: str,
        approver: str | None = None,
    ) -> SetLimits:  # fmt: skip
        self._version += 1
        profile = (self._configured or limits).profile
        self.limits = structs.replace(limits, profile=f"{profile} v{self._version + 1}")
        return SetLimits(ts_event=event.ts_event, limits=self.limits, changed=changed, reason=reason, actor=actor,
                         approver=approver)  # fmt: skip


def _names(limits: RiskLimit) -> list[str]:
    return [name for name in limits.__struct_fields__ if name != "profile"]

"""The logs that a relying gateway trusts, a policy each, and what it has seen of them."""

from __future__ import annotations

from collections.abc import Mapping

from discovery.log.entry import EntryType
from discovery.log.logged import LogPolicy, verify_logged
from discovery.log.proof_members import read_proof
from discovery.log.reason import LogRefusal, LogRefused
from discovery.log.seen import SeenCheckpoints, SplitView


class TrustedLogs:
    """Checks proofs of bindings by the directory they come from (its URL).

    A directory that is not among the policies has no log that is trusted: nothing of it is logged.
    """

    def __init__(self, policies: Mapping[str, LogPolicy]) -> None:
        self._policies = dict(policies)
        self._distrusted: dict[str, LogRefused] = {}
        self.seen = {directory: SeenCheckpoints() for directory in policies}

    def trust(self, directory: str, policy: LogPolicy) -> None:
        """Trust the log of one more directory; a policy it has already is left as it is."""
        if directory not in self._policies:
            self._policies[directory] = policy
            self.seen[directory] = SeenCheckpoints()

    def distrust(self, directory: str, why: LogRefused) -> None:
        """From now on nothing of this directory's log counts."""
        self._distrusted.setdefault(directory, why)

    def refusal(
        self,
        directory: str,
        csi: object,
        digest: str,
        proof: Mapping[str, object],
        now: float,
        *,
        entry_type: EntryType = EntryType.RECORD,
    ) -> LogRefused | None:
        """Return why a record does not count as logged; None where it does.

        digest: the text that names it. csi: the identifier, whose str() is its canonical text.
        proof: members of an answer, from anybody.
        """
        policy = self._policies.get(directory)
        if policy is None:
            return LogRefused(LogRefusal.UNKNOWN_LOG, "no log of this directory is trusted")
        if directory in self._distrusted:
            return self._distrusted[directory]
        try:
            answer = read_proof(entry_type, digest.encode(), proof)
            seen = self.seen[directory]
            verify_logged(answer, policy, now, identifier=str(csi), seen=seen)
        except SplitView as split:
            self.distrust(directory, split)
            return split
        except LogRefused as refused:
            return refused
        return None

    def is_logged(
        self, directory: str, csi: object, digest: str, proof: Mapping[str, object], now: float
    ) -> bool:
        """Tell whether a record is in a log that is trusted for this directory."""
        return self.refusal(directory, csi, digest, proof, now) is None

"""A run's identity, from any undamaged file: its manifest, its environment or the checkpoints, which all hold it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from clsbench.errors import RunError
from clsbench.runs.checkpoints import attributed
from clsbench.runs.manifest import Damaged, Entry, Manifest, ManifestFile, content_of
from clsbench.runs.provenance import Fingerprint
from clsbench.runs.seal import sha256_of, unsealed
from clsbench.runs.sums import Sums

SEALED_BY_MANIFEST = ("config.yaml", "environment.json", "summary.json", "metrics.jsonl", "tuning.jsonl")

Identity = tuple[str, Fingerprint]


def identified(file: ManifestFile) -> Manifest:
    """The manifest of a run, rebuilt in memory if it is damaged; nothing is written.

    Its fingerprint is whole where `environment.json` is undamaged.

    Raises:
        RunError: the parts of the run do not agree, or nothing says what produced it.
    """
    try:
        manifest = file.written() if file.path.exists() else None
    except Damaged:
        manifest = None
    if manifest is None:
        manifest = file.rebuilt = _rebuilt(file.run)
    environment = environment_identity(file.run)
    if environment is None:
        return manifest
    if _brief(environment) != (manifest.run, manifest.fingerprint.brief):
        raise RunError(f"{file.path} is of another run than {file.run / 'environment.json'}; start a new run")
    return manifest.model_copy(update={"fingerprint": environment[1]})


def environment_identity(run: Path) -> Identity | None:
    """The run and fingerprint that `environment.json` names; None where it is missing or damaged."""
    try:
        document: dict[str, Any] = unsealed(content_of(run / "environment.json"))
        return document["run"], Fingerprint.model_validate(document["fingerprint"])
    except (RunError, ValueError, KeyError, ValidationError):
        return None


def _rebuilt(run: Path) -> Manifest:
    found = attributed(ManifestFile(run).folder)
    identities = [(name, _fingerprint(text)) for _, name, text in found]
    environment = environment_identity(run)
    if environment is not None:
        identities.append(environment)
    if not identities:
        raise RunError(
            f"neither the manifest of {run} nor its environment.json nor a checkpoint says what produced it; "
            "start a new run"
        )
    name, fingerprint = _brief(identities[0])
    if any(_brief(identity) != (name, fingerprint) for identity in identities):
        raise RunError(f"the manifest of {run} is damaged, and its other files are of several runs; start a new run")
    entries: list[Entry] = [entry for entry, _, _ in found]
    return Manifest(run=name, fingerprint=fingerprint, files=_sums(run), checkpoints=entries)


def _brief(identity: Identity) -> Identity:
    return identity[0], identity[1].brief


def _fingerprint(text: str) -> Fingerprint:
    try:
        return Fingerprint.model_validate_json(text)
    except ValidationError as error:
        raise RunError(f"a checkpoint does not say what produced it ({error.errors()[0]['msg']})") from error


def _sums(run: Path) -> dict[str, list[str]]:
    """The sums of what is there; of records that grow, the sums stand beside them."""
    present = [name for name in SEALED_BY_MANIFEST if (run / name).exists()]
    growing = {name for name in present if name.endswith(".jsonl") and Sums(run / name).path.exists()}
    return {name: [sha256_of(content_of(run / name))] for name in present if name not in growing}

"""Creating a run directory: completed with its config, then renamed into place."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from pathlib import Path

from clsbench.config.dump import as_yaml
from clsbench.config.schema import Experiment
from clsbench.errors import ConfigError, RunError
from clsbench.results import Environment
from clsbench.runs.directory import METRICS, RunDirectory, sealed_environment
from clsbench.runs.files import is_no_place, unwritable, write_atomically
from clsbench.runs.manifest import Manifest
from clsbench.runs.names import CHECKPOINTS
from clsbench.runs.provenance import Fingerprint
from clsbench.runs.seal import sha256_of
from clsbench.system import force_folder


def create_run(
    output: Path, experiment: Experiment, fingerprint: Fingerprint, environment: Environment
) -> RunDirectory:
    """A new directory, named by the second of its start; starts in one second get a number each.

    From its first moment on it holds the config, the environment and a manifest with the sums of both, in which the run
    has a random name.

    Raises:
        ConfigError: there is a file where a folder should be, or the name is too long for the system.
        RunError: it cannot be made, or something that is not a run is in its place.
    """
    hidden = output / f".{experiment.name}-{secrets.token_hex(8)}"
    home = output / experiment.name
    try:
        _require_runs_only(home)
        new = [folder for folder in (output, *output.parents) if not folder.exists()]
        _write(hidden, experiment, fingerprint, environment)
        home.mkdir(exist_ok=True)
        path = _renamed(hidden, home / time.strftime("%Y%m%d-%H%M%S"))
        for folder in (home, output, *(folder.parent for folder in new)):
            force_folder(folder)
    except RunError:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    except OSError as error:
        shutil.rmtree(hidden, ignore_errors=True)
        if is_no_place(error):
            what = (error.strerror or str(error)).lower()
            raise ConfigError(f"{home}: no run can go there: {what}; give another --output") from None
        raise unwritable(Path(error.filename or output), error) from error
    return RunDirectory(path)


def _write(hidden: Path, experiment: Experiment, fingerprint: Fingerprint, environment: Environment) -> None:
    (hidden / CHECKPOINTS).mkdir(parents=True)
    manifest = Manifest(run=secrets.token_hex(16), fingerprint=fingerprint.brief)
    contents = {
        "config.yaml": as_yaml(experiment.to_dict()).encode(),
        "environment.json": sealed_environment(environment, manifest.run, fingerprint),
    }
    for name, content in contents.items():
        write_atomically(hidden / name, content)
    sums = {name: [sha256_of(content)] for name, content in contents.items()}
    RunDirectory(hidden).manifest.write(manifest.model_copy(update={"files": sums}))
    (hidden / f"{METRICS}.jsonl").touch()


def _require_runs_only(home: Path) -> None:
    """Refuse to put a run among other files."""
    for path in home.glob("[!.]*") if home.is_dir() else ():
        if not (path / "config.yaml").exists() and os.path.lexists(path):  # not a run, nor one just removed
            raise RunError(f"{home} holds {path.name!r}, which is not a run; give another --output, or another name")


def _renamed(hidden: Path, wanted: Path) -> Path:
    for number in range(1, 1000):
        path = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            # A directory is never renamed onto one that holds files: of two starts, one takes the next name.
            os.rename(hidden, path)
        except OSError:
            if not path.exists():
                raise
        else:
            return path
    raise RunError(f"{wanted} and 998 names like it are taken")

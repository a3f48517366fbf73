"""What coverage-guided fuzzing starts from: right input of every reader, and the words that their grammars have."""

from __future__ import annotations

import json
import random
from typing import Any

from faulting.configs import JUNK, TEXTS, places, shipped

CONFIGS = [text.encode() for text in shipped()]

OVERRIDES = [
    b"optimizer.lr=0.3\ntrain.seeds=20\nloss=[bce,mse_sigmoid]",
    b"loss=[{name: hinge, label: a}, bce]\nexpect=['a.test_accuracy > 0.5']\nname=x",
    b"tune={grid: {lr: 'log(1e-3, 1, 4)'}, seeds: 2}\nmodel.hidden=[8, 8]\ntrain.compile=on",
    b"dataset={name: blobs, samples: 90}\ntrain.warm_start={labels: rotated}",
]

EXPECTATIONS = [
    b"cross_entropy.test_accuracy >= 0.95\nmse_softmax.diverged == 0",
    b"verdict(bce, hinge, test_nll) == better\n'bce lr=0.1'.val_nll@best < 0.3",
    b'bce.test_accuracy@3 != hinge.test_accuracy@val_best\n0.1 < "a b".seconds',
]

TABLES = [
    b"x,y,class\n1,2,a\n3,4,b\n",
    b'\xef\xbb\xbf"x","long ""name""",class\r\n0.5,-1e-3,0\r\n1,2,1\r\n',
    b"x,class\n1,cat\n\n2,dog\n",
]

WORDS = [
    *("name", "dataset", "model", "loss", "optimizer", "train", "tune", "expect", "lr", "seeds", "label", "weight"),
    *("schedule", "warm_start", "grid", "log(", "verdict(", "@best", "match", "per_seed", "hidden", "moons", "bce"),
    *("[", "]", "{", "}", ": ", "- ", "#", "'", '"', "|", ">", "&a", "*a", "<<", "!!int", "---", "\t", "~"),
    *(text for text in TEXTS if text.isprintable() and text),
]


def json_mutated(data: bytes, chance: random.Random) -> bytes | None:
    """Lines of JSON with a value replaced, taken out, put twice or under another key; None where they are none."""
    lines = data.removesuffix(b"\n").split(b"\n")
    number = chance.randrange(len(lines))
    try:
        # In a list, the whole line is a place too.
        tree: Any = [json.loads(lines[number])]
        holder, key = chance.choice(list(places(tree)))
        match chance.choice(["replace", "replace", "delete", "again", "line"]):
            case "delete":
                del holder[key]
            case "again" if isinstance(holder, dict):
                holder[chance.choice([*holder, "other"])] = holder[key]
            case "again":
                holder.append(holder[key])
            case "line":
                lines.insert(chance.randrange(len(lines) + 1), lines[number])
            case _:
                holder[key] = chance.choice(JUNK)
        lines[number : number + 1] = [json.dumps(each).encode() for each in tree]
    except (ValueError, RecursionError):
        return None
    return b"".join(line + b"\n" for line in lines)

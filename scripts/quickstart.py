"""From a fresh clone to comparative curves: python3 scripts/quickstart.py [KEY=VALUE ...]"""

import sys

# This file and test.py are read by whatever Python starts them: no syntax newer than this line's message.
if sys.version_info < (3, 11):
    sys.exit("error: clsbench needs Python 3.11 or later; this is Python " + sys.version.split()[0])

import environment

NEXT = """
next, after `source .venv/bin/activate`:
  clsbench report --open                        its page: the samples as marbles on the terrain of each loss
  clsbench demo                                 the lecture behind it, in three acts
  clsbench run moons                            another shipped config; `clsbench init --list` shows all
  clsbench explain --logits=2,3,5,0 --target 2  one sample under every loss
  clsbench init my.yaml                         an experiment of your own; `clsbench check my.yaml` checks it
  clsbench list                                 datasets, models, losses, optimizers and metrics"""

if __name__ == "__main__":
    with environment.plain_exit():
        python = environment.ready()
        code = environment.call(python, "-m", "clsbench", "run", "configs/quickstart.yaml", *sys.argv[1:])
        if code == 0:
            environment.say(NEXT)
        sys.exit(code)

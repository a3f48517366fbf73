"""From a fresh clone to comparative curves: python3 scripts/quickstart.py [KEY=VALUE ...]"""

import sys

# This file and test.py are read by whatever Python starts them: no syntax newer than this line's message.
if sys.version_info < (3, 11):
    sys.exit("error: clsbench needs Python 3.11 or later; this is Python " + sys.version.split()[0])

import environment

if __name__ == "__main__":
    with environment.plain_exit():
        python = environment.ready()
        sys.exit(environment.call(python, "-m", "clsbench", "run", "configs/quickstart.yaml", *sys.argv[1:]))

"""The lecture: what `clsbench demo` shows, computed there and then. Acts are plain data; the report draws them."""

from typing import Literal

Act = Literal["1", "2", "3", "softmax", "one-hot", "sigmoid", "likelihood"]

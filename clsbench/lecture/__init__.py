"""The lecture: what `clsbench demo` shows, computed there and then. Acts are plain data; the report draws them."""

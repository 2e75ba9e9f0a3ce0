"""``lmc``: a prompt from standard input, the answer on standard output, the rest on standard error.

``run`` is the order of work; ``options``, ``prompt``, ``chat``, ``curl`` and ``report`` are values
in and values out; ``send`` has the exchanges with a provider, ``terminal`` the three streams.
"""

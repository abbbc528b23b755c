"""Ask the gateway of this container whether it can take payments: exit status 0 if it says so within two seconds.

`python -m cluster.health`, for the health check of an image, which asks every ten seconds: by the standard library
alone, for to import Ray and all of the command line takes seconds of a processor.
"""

from __future__ import annotations

import http.client
import os
import sys

_HOST = "127.0.0.1"
_WITHIN_S = 2.0


def main() -> int:
    """Return the exit status."""
    port = int(os.environ.get("HTTP_PORT") or 8000)
    connection = _connection(port, with_tls=bool(os.environ.get("TLS_CERTIFICATE")))
    try:
        connection.request("GET", "/health/ready")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as fault:
        print(f"no answer: {fault!r}")
        return 1
    finally:
        connection.close()
    print(f"status {status}")
    return 0 if status == 200 else 1


def _connection(port: int, *, with_tls: bool) -> http.client.HTTPConnection:
    if not with_tls:
        return http.client.HTTPConnection(_HOST, port, timeout=_WITHIN_S)
    # Only here: it takes as long to import as all the rest.
    import ssl

    context = ssl.create_default_context()
    # No certificate names this address, and nobody else is on it.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(_HOST, port, timeout=_WITHIN_S, context=context)


if __name__ == "__main__":
    sys.exit(main())

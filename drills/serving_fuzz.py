"""5,000 requests that nobody would send, to a server that runs: no 500, and every answer as its openapi.json says.

python -m drills.serving_fuzz                        a server of its own, over 400 users
python -m drills.serving_fuzz http://127.0.0.1:8000  the one that answers there
"""

import http.client
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from http_fuzz import Documented, Sent, requests
from http_server import serving
from hypothesis import HealthCheck, Phase, given, seed, settings
from project import Project, small

REQUESTS = 5000


def fuzz(url: str) -> bool:
    """Send the requests; whether every answer was as documented."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    documented = Documented(json.loads(answer_of(connection, Sent("GET", "/openapi.json", "", (), b""))[2]))
    statuses: Counter[int] = Counter()
    complaints: list[str] = []

    @seed(7)
    @settings(
        max_examples=REQUESTS,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(requests())
    def send(sent: Sent) -> None:
        status, headers, body = answer_of(connection, sent)
        statuses[status] += 1
        if complaint := documented.complaint(sent, status, headers, body):
            complaints.append(f"{sent.method} {sent.path}{sent.query} {sent.headers} {sent.body[:80]!r}: {complaint}")

    send()
    for line in complaints[:20]:
        print(f"FAILED  {line}")
    counted = ", ".join(f"{count:,} of {status}" for status, count in sorted(statuses.items()))
    print(f"{sum(statuses.values()):,} requests: {counted}; {len(complaints)} answered otherwise than documented")
    return not complaints


def answer_of(connection: http.client.HTTPConnection, sent: Sent) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body. A server may close the connection after it refused a body that it did not read."""
    for attempt in (1, 2):
        try:
            connection.putrequest(sent.method, sent.path + sent.query, skip_accept_encoding=True)
            for name, value in sent.headers:
                connection.putheader(name, value.encode("latin-1"))
            connection.putheader("content-length", str(len(sent.body)))
            connection.endheaders(sent.body)
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        except (http.client.HTTPException, ConnectionError):
            connection.close()
            if attempt == 2:
                raise
    raise AssertionError


def main() -> None:
    """Fuzz the server that is named, or one of a small project."""
    if len(sys.argv) > 1:
        sys.exit(not fuzz(sys.argv[1]))
    with tempfile.TemporaryDirectory() as folder:
        project = Project.copy(Path(folder) / "streamflow", *small())
        project.streamflow("repro")
        with serving(project, Path(folder) / "serve.log") as client:
            sys.exit(not fuzz(str(client.base_url)))


if __name__ == "__main__":
    main()

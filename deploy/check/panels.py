"""The queries of all panels, and what Prometheus says to them.

    deploy/check/panels.py http://127.0.0.1:9090     each query of each panel, and whether it returns data
"""

import json
import math
import sys
import urllib.parse
import urllib.request

from support import DEPLOY

DASHBOARDS = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))


def queries():
    """(panel, query) of all dashboards."""
    found = []
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            found += [(f"{path.stem}: {panel['title']}", target["expr"]) for target in panel.get("targets", [])]
    return found


def filled(expr, rate_interval="1m"):
    """The query as Grafana sends it with everything chosen."""
    for variable in ("instance", "pipeline"):
        expr = expr.replace(f"${variable}", ".*")
    return expr.replace("$__rate_interval", rate_interval)


def values(prometheus, expr):
    """The numbers an instant query returns, NaN left out."""
    url = f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expr})}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        result = json.load(answer)["data"]["result"]
    numbers = [float(series["value"][1]) for series in result]
    return [number for number in numbers if not math.isnan(number)]


def without_data(prometheus, rate_interval="1m"):
    """(panel, query) of those that return nothing."""
    return [
        (panel, expr) for panel, expr in queries() if not values(prometheus, filled(expr, rate_interval))
    ]


if __name__ == "__main__":
    empty = without_data(sys.argv[1])
    for panel, expr in empty:
        print(f"no data: {panel}: {filled(expr)}")
    print(f"{len(queries()) - len(empty)} passed, {len(empty)} failed")
    sys.exit(1 if empty else 0)

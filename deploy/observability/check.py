#!/usr/bin/env python3
"""Whether every alert rule and every panel asks for figures that exist: against a Prometheus that watches a platform.

    deploy/observability/check.py http://127.0.0.1:9090

A platform that somebody watches, for two minutes at least. Prints what gives nothing, and ends with 1 if anything does.
Of a rule each metric must be there, and the whole must be a query that Prometheus takes; that it is not true is well.
"""

import json
import pathlib
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
METRIC = re.compile(r"\b(braidcast_\w+|up)\b(?:\{[^}]*\})?")
# What is only there after an event, or with a setting that the platform need not have: absent is well.
RARE = {
    "braidcast_certificate_expires_timestamp_seconds": "TLS by certificate files",
    "braidcast_rendezvous_webhooks_lost_total": "webhooks",
    "braidcast_rendezvous_webhooks_total": "webhooks",
    "braidcast_rendezvous_refusals_total": "a first refusal",
}


class Prometheus:
    def __init__(self, place):
        self.place = place.rstrip("/")

    def get(self, path, **fields):
        url = f"{self.place}/api/v1/{path}?{urllib.parse.urlencode(fields)}"
        try:
            with urllib.request.urlopen(url, timeout=20) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error).get("error", error)) from error

    def series(self, query):
        return self.get("query", query=query)["result"]


def selectors(expression):
    return {match.group(0): match.group(1) for match in METRIC.finditer(expression)}


def main():
    prometheus = Prometheus(sys.argv[1])
    wrong, absent, seen = [], [], 0

    def look(what, query):
        try:
            return prometheus.series(query)
        except ValueError as error:
            wrong.append(f"{what}: {error}: {query}")
            return None

    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    if not rules:
        wrong.append("Prometheus has no rules")
    for rule in rules:
        seen += 1
        if rule["health"] != "ok":
            wrong.append(f"rule {rule['name']}: {rule['health']} {rule.get('lastError', '')}")
        look(f"rule {rule['name']}", rule["query"])
        for selector, name in selectors(rule["query"]).items():
            if look(f"rule {rule['name']}", selector):
                continue
            (absent if name in RARE else wrong).append(f"rule {rule['name']}: nothing is {selector}")

    dashboards = sorted((HERE / "dashboards").glob("*.json"))
    for dashboard in dashboards:
        for panel in json.loads(dashboard.read_text())["panels"]:
            for target in panel.get("targets", []):
                seen += 1
                what = f"panel {panel['title']!r}"
                found = look(what, target["expr"])
                if found is not None and not found:
                    missing = {s: name for s, name in selectors(target["expr"]).items() if not look(what, s)}
                    rare = missing and all(name in RARE for name in missing.values())
                    (absent if rare else wrong).append(f"{what}: nothing is {', '.join(missing) or target['expr']}")
                elif found and all(series["value"][1] == "NaN" for series in found):
                    wrong.append(f"{what} is no number: {target['expr']}")
    down = [series["metric"] for series in prometheus.series('up{job="braidcast"} == 0')]
    wrong += [f"not scraped: {metric}" for metric in down]
    for line in absent:
        print(f"absent, as it may be: {line} ({RARE[selectors(line.split(' is ', 1)[1]).popitem()[1]]})")
    for line in wrong:
        print(f"WRONG: {line}")
    print(f"{seen} rules and queries, {len(wrong)} wrong")
    return 1 if wrong or not seen else 0


if __name__ == "__main__":
    sys.exit(main())

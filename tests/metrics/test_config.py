"""The board and the alerts in config/ ask for metrics that there are, by labels that they have."""

import json
import re
from pathlib import Path

import pytest
import yaml

from pennyred.metrics.catalogue import Kind, catalogue

CONFIG = Path(__file__).parents[2] / "config"
METRICS = {metric.name: metric for metric in catalogue([("incoming", "x")])}
_NAME = re.compile(r"pennyred_[a-z_]+")
_SUFFIX = re.compile(r"_(bucket|sum|count)$")


def expressions():
    board = json.loads((CONFIG / "grafana/pennyred.json").read_text())
    rules = yaml.safe_load((CONFIG / "prometheus/pennyred.rules.yml").read_text())
    return [
        *((panel["title"], target["expr"]) for panel in board["panels"] for target in panel["targets"]),
        *((rule["alert"], rule["expr"]) for group in rules["groups"] for rule in group["rules"]),
    ]


@pytest.mark.parametrize(("title", "expression"), expressions())
def test_it_asks_for_what_there_is(title, expression):
    names = _NAME.findall(expression)
    assert names, title
    for name in names:
        metric = METRICS.get(name) or METRICS[_SUFFIX.sub("", name)]
        assert (metric.kind is Kind.HISTOGRAM) == (metric.name != name)
        for label, value in re.findall(rf'{name}\{{[^}}]*?([a-z]+)="([a-z-]+)"', expression):
            place = metric.labels.index(label)
            assert value in {str(values[place]) for values in metric.values}


def test_what_prometheus_is_told_to_read_is_there():
    settings = yaml.safe_load((CONFIG / "prometheus/prometheus.yml").read_text())
    assert all((CONFIG / "prometheus" / name).exists() for name in settings["rule_files"])

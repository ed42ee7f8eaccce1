from prometheus_client.parser import text_string_to_metric_families

from proxy.model.decision import Verdict
from proxy.model.kill import ScopeKind
from proxy.observability.by_worker import by_worker
from proxy.observability.metrics import Metrics

PLAIN = b"# HELP a_total All.\n# TYPE a_total counter\na_total 1.0\n"


def samples(text: bytes, name: str) -> list[tuple[dict[str, str], float]]:
    """Return labels and value of every sample of that name, as a scraper reads them."""
    families = text_string_to_metric_families(text.decode())
    return [
        (dict(sample.labels), sample.value)
        for family in families
        for sample in family.samples
        if sample.name == name
    ]


def test_every_series_gets_the_label_of_its_worker() -> None:
    """Those without labels and those with."""
    labelled = b'# HELP b B.\n# TYPE b gauge\nb{x="1"} 2.0\n'
    joined = by_worker({1: PLAIN + labelled, 2: PLAIN})
    assert samples(joined, "a_total") == [({"worker": "1"}, 1.0), ({"worker": "2"}, 1.0)]
    assert samples(joined, "b") == [({"worker": "1", "x": "1"}, 2.0)]


def test_a_family_stands_together_and_is_described_once() -> None:
    """As the format wants it."""
    lines = by_worker({2: PLAIN, 1: PLAIN}).decode().splitlines()
    assert lines[:4] == [
        "# HELP a_total All.",
        "# TYPE a_total counter",
        'a_total{worker="1"} 1.0',
        'a_total{worker="2"} 1.0',
    ]


def test_who_did_not_answer_is_told() -> None:
    """Its series are missing, not zero."""
    joined = by_worker({1: PLAIN, 2: None})
    assert samples(joined, "detent_worker_up") == [({"worker": "1"}, 1.0), ({"worker": "2"}, 0.0)]
    assert len(samples(joined, "a_total")) == 1


def test_a_real_scrape_is_read_back_whole() -> None:
    """Histograms, escapes and all; each series as often as there are workers."""
    metrics = Metrics('1.2.3 "x\\', ["a-reason"])
    metrics.decided(0.01, Verdict.ALLOW)
    metrics.killed(ScopeKind.GLOBAL)
    own = metrics.render()
    joined = by_worker({1: own, 2: own})

    def count(text: bytes) -> int:
        return sum(len(one.samples) for one in text_string_to_metric_families(text.decode()))

    assert count(joined) == 2 * count(own) + 2
    assert len(samples(joined, "detent_decision_seconds_bucket")) == 2 * len(
        samples(own, "detent_decision_seconds_bucket")
    )


def test_a_line_that_is_no_sample_stays_as_it_is() -> None:
    """An empty one, say."""
    assert by_worker({1: b"\n a"}).decode().splitlines()[:2] == ["", " a"]

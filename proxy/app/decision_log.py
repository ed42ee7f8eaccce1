"""The decision log of a gateway: who knows secrets when they see them, and where lines go."""

from proxy.config import Settings
from proxy.ingress.canonical import urls_in
from proxy.observability.masking import Masker
from proxy.observability.metrics import Metrics
from proxy.pdp.base import PolicyEngine
from proxy.pdp.review.log import DecisionLog
from proxy.pdp.review.log_files import LogFiles
from proxy.pdp.review.masking import Seers
from proxy.pipeline.secret_fields import without_secrets


def decision_log_of(
    settings: Settings, engine: PolicyEngine, metrics: Metrics, masker: Masker
) -> DecisionLog | None:
    """Return the log that the settings ask for; needs a running event loop."""
    wanted = settings.policy.log
    if wanted is None:
        return None
    files = LogFiles(settings.path(wanted.directory), wanted.file_bytes, wanted.files)
    return DecisionLog(files, engine, Seers(masker.mask, urls_in, without_secrets), metrics)

"""Credentials that tell by their first letters who issued them, besides those that `shim.record.known` has.

After these letters comes a run of characters with a digit or a capital in it.
"""

from __future__ import annotations

import re

_PREFIXES = (
    "ATATT3|ATCTT3|ATBB",  # Atlassian
    "GOCSPX-",  # Google, clients
    "PMAK-",  # Postman
    "dapi(?=[0-9a-f]{32})",  # Databricks
    "dop_v1_|doo_v1_",  # DigitalOcean
    "fc-(?=[0-9a-f]{32})",  # Firecrawl
    "figd_|figo_",  # Figma
    "glsa_|glc_",  # Grafana
    "gsk_",  # Groq
    "hf_",  # Hugging Face
    "lin_api_|lin_oauth_",  # Linear
    "napi_",  # Neon
    "ntn_",  # Notion
    "nvapi-",  # NVIDIA
    "pcsk_",  # Pinecone
    "pplx-",  # Perplexity
    "r8_",  # Replicate
    "sbp_",  # Supabase
    "shpat_|shpss_|shpca_",  # Shopify
    "sntrys_|sntryu_",  # Sentry
    "tvly-",  # Tavily
    "whsec_",  # Stripe, webhooks
    "xai-",  # xAI
    "xapp-|xox[cd]-",  # Slack, applications and browsers
)
_ISSUED = re.compile(
    rf"(?<![\w-])(?:{'|'.join(_PREFIXES)})(?=[a-z_%.+/=-]{{0,512}}[0-9A-Z])[\w%.+/=-]{{12,}}", re.ASCII
)

# Google's refresh tokens are the only ones with slashes so early.
_REFRESH = re.compile(r"(?<![\w/:])1//0[A-Za-z0-9_-]{20,}")
_ORACLE = re.compile(r"jdbc:oracle:[a-z]{1,9}:[^\s/:@]{1,128}/[^\s@]{1,256}@")


def looks_issued(text: str) -> bool:
    """Whether a text holds such a credential."""
    return any(form.search(text) is not None for form in (_ISSUED, _REFRESH, _ORACLE))

"""What secrets look like: the formats of well-known providers' keys, tokens, key blocks and connection strings.

A pattern is tried only where one of its `anchors` stands in the text. Each begins with an anchor or a short way before
one, goes on possessively or for a bounded length, and so takes time in proportion to the text. Where a pattern has a
group, only the group is secret. Formats are those that the providers document; guesses by entropy are left out, because
they hide commit ids and checksums from a model that needs them.
"""

from typing import NamedTuple


class Pattern(NamedTuple):
    """One kind of secret: a stable word, what must stand in a text for it to be tried, and what it looks like
    (a verbose regular expression)."""

    kind: str
    anchors: tuple[str, ...]
    form: str


_START = r"(?<![A-Za-z0-9_-])"
_OPEN = r"(?!\[redacted:)"
_QUOTE = r"""\\?["']?"""

_KEYS = (
    Pattern(
        "private_key",
        ("PRIVATE KEY",),
        r"-----BEGIN\ [A-Z0-9\ ]{0,40}PRIVATE\ KEY(?:\ BLOCK)?-----(?:[^-]|-(?!----))*+"
        r"(?:-----END\ [A-Z0-9\ ]{0,60}-----)?",
    ),
    Pattern("age_key", ("AGE-SECRET-KEY-1",), r"AGE-SECRET-KEY-1[0-9A-Z]{40,70}"),
    Pattern(
        "aws_key",
        ("AKIA", "ASIA", "ABIA", "ACCA", "A3T"),
        r"(?<![A-Za-z0-9])(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}(?![A-Za-z0-9])",
    ),
    Pattern(
        "aws_secret",
        ("ecretAccessKey", "ecret_access_key", "ECRET_ACCESS_KEY", "aws_secret", "AWS_SECRET"),
        rf"(?i:secret_?(?:access_?)?key){_QUOTE}\s{{0,5}}[=:]\s{{0,5}}{_QUOTE}([A-Za-z0-9/+]{{40}})(?![A-Za-z0-9/+])",
    ),
    Pattern(
        "github_token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        _START + r"(?:gh[pousr]_[A-Za-z0-9]{30,255}+|github_pat_\w{22,255}+)",
    ),
    Pattern("gitlab_token", ("glpat-", "gldt-", "glrt-"), _START + r"gl(?:pat|dt|rt)-[\w-]{20,300}+"),
    Pattern("slack_token", ("xox", "xapp-"), _START + r"(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,300}+"),
    Pattern(
        "slack_webhook",
        ("hooks.slack.com/",),
        r"hooks\.slack\.com/(?:services|workflows|triggers)/([\w/-]{20,200}+)",
    ),
    Pattern(
        "stripe_key",
        ("k_live_", "k_test_", "whsec_"),
        _START + r"(?:[sr]k_(?:live|test)_\w{16,255}+|whsec_[\w+/=-]{24,255}+)",
    ),
    Pattern("anthropic_key", ("sk-ant-",), _START + r"sk-ant-[\w-]{20,300}+"),
    Pattern("openai_key", ("sk-",), _START + r"sk-(?:(?:proj|svcacct|admin|or)-[\w-]{20,300}+|[A-Za-z0-9]{32,200}+)"),
    Pattern(
        "google_key",
        ("AIza", "GOCSPX-", "ya29."),
        _START + r"(?:AIza[\w-]{35}|GOCSPX-[\w-]{20,60}+|ya29\.[\w-]{20,2000}+)",
    ),
    Pattern("bascule_key", ("bsk_",), _START + r"bsk_[\w.-]{12,300}+"),
    Pattern("npm_token", ("npm_",), _START + r"npm_[A-Za-z0-9]{36}"),
    Pattern("pypi_token", ("pypi-AgE",), _START + r"pypi-AgE[\w-]{50,1000}+"),
    Pattern("huggingface_token", ("hf_",), _START + r"hf_[A-Za-z0-9]{30,60}+"),
    Pattern("sendgrid_key", ("SG.",), _START + r"SG\.[\w-]{16,64}+\.[\w-]{32,64}+"),
    Pattern("digitalocean_token", ("dop_v1_", "doo_v1_", "dor_v1_"), _START + r"do[opr]_v1_[a-f0-9]{64}"),
    Pattern("shopify_token", ("shpat_", "shpca_", "shppa_", "shpss_"), _START + r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    Pattern("vault_token", ("hvs.", "hvb."), _START + r"hv[sb]\.[\w-]{24,300}+"),
    Pattern("databricks_token", ("dapi",), _START + r"dapi[a-f0-9]{32}(?:-\d)?"),
    Pattern("grafana_token", ("glsa_", "glc_"), _START + r"gl(?:sa|c)_[A-Za-z0-9+/_=]{32,500}+"),
    Pattern("telegram_token", (":AA",), r"(?<![\w-])\d{8,10}:AA[\w-]{33}(?![\w-])"),
    Pattern(
        "azure_key",
        ("AccountKey=", "AccessKey=", "AccessSignature="),
        rf"(?:AccountKey|AccessKey|AccessSignature)={_OPEN}([^\s;\"']{{16,1000}}+)",
    ),
    Pattern("azure_secret", ("Q~",), r"(?<![\w.~-])[\w.~]{3}\dQ~[\w.~-]{31,34}(?![\w~-])"),
    Pattern("jwt", ("eyJ",), r"(?<![\w-])eyJ[\w-]{8,}+\.eyJ[\w-]{4,}+\.[\w-]*+"),
)

_CREDENTIALS = (
    Pattern(
        "bearer_token",
        ("earer", "EARER"),
        rf"(?i:\bbearer)[\s:=]{{1,4}}{_QUOTE}([\w.~+/-]{{16,4000}}+={{0,2}})",
    ),
    Pattern(
        "basic_credentials",
        ("asic ", "ASIC "),
        rf"(?i:authorization){_QUOTE}\s{{0,3}}[:=]\s{{0,3}}{_QUOTE}(?i:basic)\s{{1,3}}([A-Za-z0-9+/_-]{{8,1000}}+={{0,2}})",
    ),
    Pattern("password", ("://",), rf"://[^\s/:@\"'<>]{{0,128}}+:{_OPEN}([^\s/\"'<>]{{1,256}})@"),
    Pattern(
        "password",
        ("assword", "ASSWORD", "wd=", "WD=", "wd ="),
        rf"""
          ; \s? (?i:password|pwd) \s? = \s? {_OPEN} ([^;"'\n]{{1,256}}+)
        | \b (?i:host|hostaddr|user|dbname|port|server) = [^\s=]{{1,200}}+
          (?: \s{{1,3}}+ \w{{1,30}}+ = [^\s=]{{1,200}}+ ){{0,8}}?
          \s{{1,3}}+ (?i:password) = ['"]? {_OPEN} ([^\s"']{{1,256}}+)
        | \b (?i:password|pwd) \s? = \s? ['"]? {_OPEN} ([^\s;"']{{1,256}}+) ['"]?
          (?= ; \s? \w{{2,30}} \s? \w{{0,30}} = | \s{{1,3}} (?:host|user|dbname|port) = )
        """,
    ),
    Pattern(
        "url_parameter",
        ("oken=", "ey=", "ecret=", "assword=", "ignature=", "&sig=", "?sig="),
        rf"""
          [?&] (?i: access_token | auth_token | refresh_token | token | api[_-]?key | client_secret | secret | password
            | sig | x-(?:amz|goog)-signature ) = {_OPEN} ([^\s&\#"'<>]{{8,2000}}+)
        """,
    ),
    Pattern(
        "environment",
        ("SECRET", "TOKEN", "PASSWORD", "PASSWD", "API_KEY", "PRIVATE_KEY", "ACCESS_KEY"),
        rf"""
          (?: (?m:^) | (?<=") ) (?:export\ )? (?:[A-Z0-9]{{1,30}}_){{0,6}} [A-Z0-9]{{0,12}}?
          (?:SECRET|TOKEN|PASSWORD|PASSWD|API_KEY|PRIVATE_KEY|ACCESS_KEY) (?:_[A-Z0-9]{{1,30}}){{0,3}}
          = ["']? {_OPEN} ([^\s"'$]{{8,4000}}+)
        """,
    ),
)

PATTERNS = (*_KEYS, *_CREDENTIALS)
"""All of them, the narrower before the wider."""

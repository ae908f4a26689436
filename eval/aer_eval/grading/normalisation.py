r"""One spelling for answers that differ only in typography: ``\dfrac 12`` and ``{1\over2}`` become ``\frac{1}{2}``.

A list of rewriting rules, applied in order; each rule's line says what it is for. Nothing here knows about
mathematics: what an answer means is the business of ``reading``.
"""

from __future__ import annotations

import re

_UNICODE = str.maketrans(
    {
        "\u2212": "-",  # minus sign
        "\u2013": "-",  # en dash
        "\u00b0": r"^\circ ",
        "\u00d7": r"\cdot ",
        "\u00b7": r"\cdot ",
        "\u22c5": r"\cdot ",
        "\u00f7": "/",
        "\u03c0": r"\pi ",
        "\u221e": r"\infty ",
        "\u2264": r"\le ",
        "\u2265": r"\ge ",
        "\u2260": r"\ne ",
        "\u00b1": r"\pm ",
        "\u222a": r"\cup ",
        "\u2208": r"\in ",
        "\u2205": r"\emptyset ",
        "\u211d": r"\mathbb{R}",
        "\u221a": r"\sqrt ",
        "\u00b2": "^2",
        "\u00b3": "^3",
        "\u00bc": r"\frac{1}{4}",
        "\u00bd": r"\frac{1}{2}",
        "\u00be": r"\frac{3}{4}",
        "\u00a0": " ",
        "\u202f": " ",
        "\u2009": " ",
    }
)

_FUNCTIONS = "arcsin|arccos|arctan|sin|cos|tan|cot|csc|ln|log|exp|det|gcd|lcm"
_ARGUMENT = r"(\\(?!text|frac|sqrt|begin|left)[a-zA-Z]+|[0-9a-zA-Z])"
_SPACE = r"(?:\\[,;:!> ]|~|\s)"
_MOD = r"(?:\\[bp]?mod(?![a-zA-Z])|\\text\{\s*mod(?:ulo)?\s*\}|(?<![a-zA-Z\\])mod(?![a-zA-Z]))"
_UNIT_LETTER = "[a-ce-hj-zACFGHJ-NPTVW]"
"""Of a unit in roman type; not i and d, which are no units."""
_UNITS = rf"\\(?:text|mathrm)\{{{_SPACE}*([a-zA-Z]+)\s*\}}"
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}


def _rules(*pairs: tuple[str, str]) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


_WRAPPERS = _rules(
    (r"\s+", " "),
    (r"^\s*\*\*(.*)\*\*\s*$", r"\1"),  # Markdown's bold
    (r"^\s*\\\((.*)\\\)\s*$", r"\1"),
    (r"^\s*\\\[(.*)\\\]\s*$", r"\1"),
    (r"^\s*\\(?:boxed|fbox)\s*\{(.*)\}\s*$", r"\1"),
    (r"\\?\$", ""),  # maths delimiters and currency
    (r"\{\s*\\rm\s+([a-zA-Z~ ]+)\}", r"\\mathrm{\1}"),
    (r"[\u20ac\u00a3\u00a5]|\\(?:pounds|euro)(?![a-zA-Z])", ""),  # other currencies
    (r"\\(?:left|right)\s*\.", ""),  # a delimiter that is not shown
    (r"\\(?:left|right|middle|[bB]ig+[lrm]?)(?![a-zA-Z])", ""),
    (r"\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits|rm|bf|it|mathstrut)(?![a-zA-Z])", ""),
)
_FONTS = _rules(
    (r"\\(?:textbf|textit|textrm|textsf|textup|textsc|textnormal|texttt|emph|mbox|hbox)(?![a-zA-Z])", r"\\text"),
    (r"\\text\s*(?=\{)", r"\\text"),
    (r"\\text\s*([0-9a-zA-Z])(?![a-zA-Z])", r"\\text{\1}"),
    (r"\\mathbb\s*([A-Z])", r"\\mathbb{\1}"),
    (rf"\\operatorname\*?\s*\{{\s*({_FUNCTIONS}|min|max|sec)\s*\}}|\\mathrm\{{\s*({_FUNCTIONS})\s*\}}", r"\\\1\2 "),
    (r"\\mathrm\{((?:\s|~|\\,)*[a-zA-Z]{2}[^{}]*|(?:\s|~|\\,)*[a-zA-Z]/[^{}]*)\}", r"\\text{\1}"),  # words and units
    (rf"(?<=\d){_SPACE}*\\mu\s*\\(?:mathrm|text)\{{{_SPACE}*([a-zA-Z]+)\}}", r"\\text{micro\1}"),
    (rf"(?<=[\d}}])({_SPACE}*)\\mathrm\{{{_SPACE}*({_UNIT_LETTER})\s*\}}", r"\1\\text{\2}"),  # 5 \mathrm{~m}
    (rf"(?<=[\d}}])({_SPACE}*)\\frac\{{{_UNITS}\}}\{{{_UNITS}\}}", r"\1\\text{\2/\3}"),
    (rf"(?<=[\d}}])({_SPACE}*\\text\{{[^{{}}]*)\}}{_SPACE}*(?:/|\\cdot){_SPACE}*{_UNITS}", r"\1/\2}"),
    (r"\\(?:mathrm|mathbf|mathit|mathsf|mathnormal|boldsymbol|bm|underline|operatorname\*?)\s*\{([^{}]*)\}", r"\1"),
    (r"\\(?:mathrm|mathbf|mathit)\s+([a-zA-Z])", r"\1"),
    (r"_\s*\\text\{\s*([^{}]*?)\s*\}", r"_{\1}"),
    (r"_\s*\{([^{}]*)\\text\{\s*([^{}]*?)\s*\}([^{}]*)\}", r"_{\1\2\3}"),
    (r"\\text\{\s*(?:\\?%)\s*\}", r"\\%"),
    (r"(?<=\d)\\text\{([A-F])\}", r"\1"),  # digits of base 16
    (r"\\text\{\s*([-+]?[\d.,/]+)\s*\}", r"\1"),  # \text{12}
    (r"\\text\{\s*\}", ""),
)
_GROUPS = _rules(  # digits in groups of three: 12{,}345  12,\!345  12\,345  12~345; `12, 345` is a list
    (rf"(?<=\d)(?:,(?:\\!\s*)+|\\!,|\{{,\}}(?:\\!)?|(?:\\[,;: ]|~)),?(?=\d{{3}}(?!\d)|{_SPACE}+\d{{3}}(?!\d))\s*", ""),
)
_SPACES = _rules(
    (r"\\!", ""),
    (r"\\[,;:> ]|~|\\(?:quad|qquad|enspace|thinspace|space|hspace\{[^{}]*\}|phantom\{[^{}]*\})(?![a-zA-Z])", " "),
)
_COMMANDS = _rules(
    (r"\\(?:dfrac|tfrac|cfrac|nicefrac|sfrac)(?![a-zA-Z])", r"\\frac"),
    (r"\\(?:dbinom|tbinom)(?![a-zA-Z])", r"\\binom"),
    (r"\{([^{}]*)\\over(?![a-zA-Z])([^{}]*)\}", r"\\frac{\1}{\2}"),
    (r"^([^{}]*)\\over(?![a-zA-Z])([^{}]*)$", r"\\frac{\1}{\2}"),
    (r"\{([^{}]*)\\choose(?![a-zA-Z])([^{}]*)\}", r"\\binom{\1}{\2}"),
    (rf"\\(frac|binom)\s*{_ARGUMENT}", r"\\\1{\2}"),
    (rf"\\(frac|binom)\s*(\{{(?:[^{{}}]|\{{[^{{}}]*\}})*\}})\s*{_ARGUMENT}", r"\\\1\2{\3}"),
    (r"\\(frac|binom)\s*(\{(?:[^{}]|\{[^{}]*\})*\})\s+(?=\{)", r"\\\1\2"),
    (r"(?<![\\a-zA-Z])sqrt(?=\s*[\d({])", r"\\sqrt"),  # as in plain text
    (r"\\sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
    (rf"\\sqrt\s*(\[[^][]*\])?\s*{_ARGUMENT}", r"\\sqrt\1{\2}"),
    (r"\\sqrt\s*(\[[^][]*\])?\s+(?=\{)", r"\\sqrt\1"),
    (r"\\sqrt\[\s*2\s*\]", r"\\sqrt"),
    (r"(?<![a-zA-Z\\])pi(?![a-zA-Z])", r"\\pi "),
    (r"\\(?:leq|leqslant|leqq|le)(?![a-zA-Z])|<\s*=|=\s*<", r"\\le "),
    (r"\\(?:geq|geqslant|geqq|ge)(?![a-zA-Z])|>\s*=", r"\\ge "),
    (r"\\(?:neq|ne)(?![a-zA-Z])|\\not\s*=|(?<![\d)}])!=", r"\\ne "),  # but 4!=24
    (r"\\lt(?![a-zA-Z])", "<"),
    (r"\\gt(?![a-zA-Z])", ">"),
    (r"\\(?:cdot|times|ast)(?![a-zA-Z])|\*", r"\\cdot "),
    (r"(?<=\d)\s*x\s*(?=10\^)", r" \\cdot "),
    (r"\\div(?![a-zA-Z])", "/"),
    (r"\\(?:cup|bigcup)(?![a-zA-Z])|(?<=[)\]])\s*U\s*(?=[(\[])", r"\\cup "),
    (r"\\lbrace(?![a-zA-Z])", r"\\{"),
    (r"\\rbrace(?![a-zA-Z])", r"\\}"),
    (r"\\(?:lvert|rvert|vert)(?![a-zA-Z])|\\mid(?![a-zA-Z])", "|"),
    (r"\\(?:lbrack)(?![a-zA-Z])", "["),
    (r"\\(?:rbrack)(?![a-zA-Z])", "]"),
    (r"\\colon(?![a-zA-Z])", ":"),
    (r"\\varnothing(?![a-zA-Z])|\\\{\s*\\\}|(?<![a-zA-Z])\{\s*\}$", r"\\emptyset "),
    (r"\\(?:R|reals)(?![a-zA-Z])", r"\\mathbb{R}"),
    (r"\+\s*\\infty", r"\\infty"),
    (r"\\log_(?:e|\{e\})(?![a-zA-Z])", r"\\ln "),
    (r"(\\(?:sin|cos|tan|cot|sec|csc|ln|log))\s*\{([^{}]*)\}", r"\1(\2)"),
    (r"\\begin\{(?:[bB]|small)?matrix\}|\\begin\{array\}(?:\{[^{}]*\})?", r"\\begin{pmatrix}"),
    (r"\\end\{(?:[bB]|small)?matrix\}|\\end\{array\}", r"\\end{pmatrix}"),
    (r"[(\[]\s*(\\begin\{pmatrix\}(?:(?!\\begin).)*\\end\{pmatrix\})\s*[)\]]", r"\1"),
    (r"\\cr\s*\\end", r"\\end"),
)
_WORDS = _rules(
    (r"^\s*\\text\{\s*(?i:(?:the )?(?:final )?answer(?: is)?)\s*:?\s*\}\s*:?", ""),  # \text{Answer: }5
    (r",?\s*\\text\{\s*,?\s*(?:or|OR)\s*\}\s*|\\(?:lor|vee)(?![a-zA-Z])|,?\s+or\s+|(?<=[)\]])or(?=[(\[])", r" \\lor "),
    (r",?\s*\\text\{\s*,?\s*(?:and|AND)\s*\}\s*|\\(?:land|wedge)(?![a-zA-Z])|,?\s+and\s+|\s*\\&\s*", r" \\land "),
    (r"\\text\{\s*to\s*\}", ":"),  # 3 to 1
    (r"\s*(?:\\text\{\s*base\s*\}|\bbase\b)\s*(\d+)|_\{\s*base\s*(\d+)\}", r"_{\1\2}"),
    (r"\\text\{\s*\(\s*mod\s*(?:\}([^()]*)\)|([^(){}]*)\)\s*\})", r"\\pmod{\1\2}"),  # \text{ (mod }7)
    (rf"\(\s*{_MOD}\s*\{{?\s*([^(){{}}]*?)\s*\}}?\s*\)", r"\\pmod{\1}"),
    (rf"{_MOD}\s*(\d+|[a-zA-Z](?![a-zA-Z]))", r"\\pmod{\1}"),
    (rf"\s*{_MOD}\s*\{{\s*", r"\\pmod{"),
    (r"^\s*([A-Z])\)\s*$", r"\1"),  # choice C)
    (r"\s*\\text\{\s*(?:percent|pct\.?)\s*\}|(?<=\d)\s*(?:percent|pct)\b", r"\\%"),
    (rf"(?<=[\d}}])\s*\\text\{{\s*({'|'.join(_SCALES)})\s+", r" \1 \\text{"),  # 2 \text{ million tons}
    *(
        (rf"(?<=[\d}}])\s*(?:\\text\{{\s*{word}\s*\}}|{word}\b)", rf" \\cdot 10^{{{power}}}")
        for word, power in _SCALES.items()
    ),
)
_NUMBERS = _rules(
    (r"\s*(?<!\\)%", r"\\%"),
    (r"\s+\\%", r"\\%"),
    (r"\^\s*\{?\s*(?:\\circ|\\degree|\\text\{o\})\s*\}?|\\degree(?![a-zA-Z])|(?<=\d)\^o(?![a-zA-Z])", r"^\\circ "),
    (r"(?<=\^\\circ )\s*(?:\\text\{\s*[CF]\s*\}|[CF](?![a-zA-Z]))", ""),  # Celsius
    (r"(?<![\w.])([-+]?\d+(?:\.\d+)?)[eE]\+?(-?\d+)(?![\w.])", r"\1 \\cdot 10^{\2}"),  # 1.6e-19
    (r"\^\s*(-\d+|\d\d+)", r"^{\1}"),  # what is meant by 10^-19 and 2^10
    (r"(?<![\d.])\.(?=\d)", "0."),  # .5
    (r"(\\text\{[^{}]*?)[.,;]\s*\}\s*$", r"\1}"),  # \text{Monday.}
    (r"^\s+|(?:[.,;:\\]|\s)+$", ""),  # `12.`
    (r"\s+", " "),
    (r"(?<!\\)(\{) | (?=\})", r"\1"),
)
_THOUSANDS = re.compile(r"((?:[a-zA-Z]\s*=\s*)?[-+]?)([1-9]\d{0,2}(?:(?:,\d{3})+|(?: \d{3})+))(?![\d,/])")
_TRIGONOMETRIC = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")
_DEGREES = re.compile(r"(\d+(?:\.\d+)?)\s*\^\\circ")


def normalise(answer: str) -> str:
    """One spelling for what differs only in typography; idempotent on ordinary answers, never fails."""
    answer = _one_backslash(re.sub(r"\u221a\s*(\d+)", r"\\sqrt{\1}", answer).translate(_UNICODE))
    for rules in (_WRAPPERS, _FONTS, _GROUPS, _SPACES, _COMMANDS, _WORDS, _NUMBERS):
        for pattern, replacement in rules:
            answer = pattern.sub(replacement, answer)
    answer = _without_degrees(answer)
    grouped = _THOUSANDS.match(answer)
    if grouped:
        answer = grouped[1] + re.sub("[, ]", "", grouped[2]) + answer[grouped.end() :]
    return answer.strip()


def _one_backslash(answer: str) -> str:
    r"""Two backslashes end a row of a matrix, which is ``\cr`` from here on; elsewhere they are one too many."""
    if "matrix" in answer or "array" in answer:
        return re.sub(r"\\\\\s*(?:\[\s*[\d.]+\s*[a-z]+\s*\])?", r"\\cr ", answer)
    return re.sub(r"\\\\(?=[a-zA-Z])", r"\\", answer).replace("\\\\", " ")


def _without_degrees(answer: str) -> str:
    """Degree signs make no difference, except to a trigonometric function."""
    if _TRIGONOMETRIC.search(answer):
        return _DEGREES.sub(r"(\\frac{\1 \\pi}{180})", answer)
    return re.sub(r"\s*\^\\circ", "", answer)

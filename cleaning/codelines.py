"""Whether a line is code: what it begins with, its operators, and how little Chinese it holds outside comments."""

from __future__ import annotations

import re

__all__ = ["is_code"]

_WORDS = (
    "def|class|import|from|return|elif|except|finally|try|with|yield|lambda|async|await|assert|raise|print|export|package"
    "|public|private|protected|static|void|int|char|float|double|bool|var|let|const|func|function|fn|using|namespace"
    "|struct|enum|interface|template|typedef|auto|echo|sudo|apt|apt-get|yum|brew|pip|pip3|npm|npx|yarn|git|cd|ls|cp|mv|rm"
    "|mkdir|chmod|chown|find|grep|awk|sed|cat|curl|wget|tar|unzip|docker|kubectl|helm|systemctl|journalctl|ssh|scp|dig"
    "|ping|ip|ifconfig|conda|python|python3|java|javac|gcc|g++|make|cmake|cargo|go|node|source|set|SELECT|INSERT|UPDATE"
    "|DELETE|CREATE|ALTER|DROP|FROM|WHERE|RUN|COPY|ADD|CMD|ENV|EXPOSE|ENTRYPOINT|WORKDIR"
)
_FIRST_WORD = frozenset(_WORDS.split("|"))
_WORD = re.compile(r"[A-Za-z0-9+-]+(?=[\s(:;]|$)")
_BEGINNING = re.compile(
    r"@[A-Za-z_][\w.]*(?:\(.*\))?$|#(?:include|define|if|ifdef|ifndef|endif|pragma|!)|//|/\*|\*/|<[/!?A-Za-z][^<>]*>$|[\]})][\]}),;]*$"
    r"|[\"'][^\"']*[\"']\s*[:,]|(?:if|for|while|switch|else|do|match|case)\b[^。]*[({:]|\$ \S|>>> |\.\.\. |In \[\d+\]"
    r"|[-\w./]+\s*:\s*(?:[|>\[{\"'\d]|true|false|null|$)|- [-\w./]+\s*:"
)
_SIGN = re.compile(r"[=(){};<>\\|&+*\[\]:/\"?-]|^@[A-Za-z_]\w*$")
_OPERATOR = re.compile(
    r"(?<![=!<>+*/&|:-])(?:==|!=|<=|>=|=>|->|::|&&|\|\||<<|>>|\+\+|--|\*\*|//|\+=|-=|\*=|/=|&=|:=|\?\?)(?![=!<>+*/&|-])|==="
    r"|(?<=[\w\])])\s*=\s*[\w\"'(\[{&*-]|(?<=\w)\([^()\n]*\)|;\s*(?:$|//|#)|\{\s*$|\\\\\s*$|(?<=\w)\[[^\]\n]*\]|\\[a-zA-Z]{2,}"
    r"|^\s*\"\"\s*$|(?<!\S)\.{1,2}/\w|(?<!\S)-{1,2}[a-zA-Z][\w-]*(?=\s|=|$)|\b[0-9a-f]{2}(?::[0-9a-f]{2}){3,}\b"
)
_COMMENT = re.compile(r"(?:(?<!:)//|(?<![\w&])#|(?<!\S)--\s|/\*|<!--|\"\"\").*$")
_BEGINS_COMMENT = re.compile('[/#"]|--')
_HAN = re.compile("[\u3400-\u9fff\u3007]")
_LATIN = re.compile("[A-Za-z]")
_SENTENCE_MARK = re.compile("[，。！？；：]")
_LOOKED_AT = 300  # characters of a line, which tell what it is
_ENGLISH = re.compile(r"[A-Za-z][a-z',-]*(?: [A-Za-z][A-Za-z',-]*){4,}[.!?]?")


def is_code(line: str) -> bool:
    """Whether a line is code.

    Args:
        line: One line, or a stretch of one.
    """
    bare = line.strip()[:_LOOKED_AT]
    word = _WORD.match(bare)
    begins = word is not None and word[0] in _FIRST_WORD
    if not begins and not _SIGN.search(bare):
        return False
    code = _COMMENT.sub("", bare).strip() if _BEGINS_COMMENT.search(bare) else bare
    if not code:  # nothing but a comment
        return bare.startswith(("//", "/*", "<!--", "#!", "#include", "#define"))
    if not code.isascii():
        han = len(_HAN.findall(code))
        if han and (han * 3 > len(_LATIN.findall(code)) or _SENTENCE_MARK.search(code)):
            return False
    if begins or _BEGINNING.match(code):
        return _ENGLISH.fullmatch(code) is None  # `for no other reason than that` is none
    return _OPERATOR.search(code) is not None

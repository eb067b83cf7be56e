# SPDX-License-Identifier: Apache-2.0
"""Find text on a screen that tries to give the agent orders.

All text on a screen is data. A text is suspicious if it tries to change what the agent is authorised to do: a new goal,
a new recipient, a word to the assistant, "ignore what you were told". That it names an action is not enough, as every
button does that.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from finesight.elements import ScreenElement

__all__ = ["suspicious_texts"]

_MOST = 3
_LONGEST = 160
_ORDERS = (
    # to forget the task
    r"(ignore|disregard|forget|override|bypass)\b.{0,40}\b(instruction|prompt|task|goal|rule|order|direction|polic)",
    r"(ignorier\w*|vergiss|missachte)\b.{0,40}\b(anweisung|auftrag|aufgabe|ziel|regel)",
    r"(ignore[zr]?|oublie[zr]?)\b.{0,40}\b(instruction|consigne|tâche|objectif|règle)",
    r"(ignora[r]?|olvida[r]?|ignore)\b.{0,40}\b(instruccion|instruç|istruzion|tarea|tarefa|objetivo|regla)",
    r"(игнорируй|забудь).{0,40}(инструкц|задач|указан)",
    r"(忽略|无视|忘记).{0,20}(指令|指示|任务|提示|规则)",
    r"(無視|忘れ).{0,20}(して|ろ|て)|(指示|命令|タスク).{0,10}(無視|忘れ)",
    r"(이전|위의).{0,20}(지시|명령).{0,10}(무시)",
    # a new task or role
    r"\b(new|updated|real|actual|changed) (task|goal|instructions?|objective|mission)\b\s*[:\-]",
    r"\byour (new |real |actual )?(task|goal|instructions?|mission) (is|are|has changed)\b",
    r"\b(neue (aufgabe|anweisung)|dein(e)? (neue|eigentliche)\w* (aufgabe|ziel|auftrag))\b",
    r"\b(nouvelle (tâche|consigne)|nouvel objectif|nueva (tarea|instrucción)|nuova istruzione|nova tarefa)\b",
    r"(新的?(任务|指令|目标)\s*[:：]|你的(新)?任务是|新しい(タスク|指示))",
    r"\byou are now\b.{0,40}\b(agent|assistant|mode|admin|developer|in charge)",
    r"\b(system|developer|admin(istrator)?) (prompt|message|override|instruction|note)\b\s*[:\-]?",
    r"<\s*/?\s*(system|instructions?|important|im_start|tool_call|tool_response)\b|<\|im_(start|end)\|>",
    # spoken to a program
    r"\b(ai|llm|gpt|language model|virtual|automated) ?(assistants?|agents?|models?|bots?)?\b.{0,60}"
    r"\b(must|should|have to|need to|please|are required to|do the following)\b",
    r"\b(attention|note|notice|important|dear|hey|hello)\b[ ,:!]{0,3}(to )?(the )?"
    r"(ai\b|agents?\b|assistants?\b|bots?\b|language model)",
    r"\b(as an?|if you are an?|für|an (den|die|alle)|pour|para) "
    r"(ai|ki|ia|llm|language model|agent|assistent|assistant|asistente)\b",
    r"(如果你是|作为).{0,6}(ai|人工智能|智能体|助手|语言模型)",
    r"(ai|智能)(助手|代理|智能体).{0,10}(必须|应该|请|需要)",
    # secrets, recipients, silence
    r"\b(do not|don't|never|without) (tell|inform|notify|ask|show|mention|alert)(ing)?\b.{0,30}"
    r"\b(user|owner|human|anyone|confirmation|permission)",
    r"\b(send|forward|transfer|e-?mail|post|upload|reveal|paste|type|enter)\b.{0,60}"
    r"\b(password|passcode|credential|secret|token|api key|card number|cookies?"
    r"|all (mails?|e-?mails?|contacts|messages|files))\b.{0,80}"
    r"(\bto\b|@|https?:)",
    r"\{\{\s*secret:",
)
_PATTERN = re.compile("|".join(f"(?:{each})" for each in _ORDERS))


def suspicious_texts(elements: Iterable[ScreenElement], notices: Iterable[str] = ()) -> list[str]:
    """Quotes of the texts that try to give orders, without doubles; at most three, shortened.

    Args:
        elements: what the screen shows; names and values count, whether a person can see them or not.
        notices: other texts of the screen, such as that of a dialog.
    """
    found: dict[str, None] = {}
    for text in (*(f"{each.name} {each.value}" for each in elements), *notices):
        shown = re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip()
        match = _PATTERN.search(_without_hidden(shown).casefold())
        if match and not any(shown[:_LONGEST] in each for each in found):
            start = max(match.start() - 40, 0)
            found[shown[start : start + _LONGEST]] = None
    return list(found)[:_MOST]


def _without_hidden(text: str) -> str:
    """The text without characters that have no width, which split words for a reader that is a program."""
    return "".join(char for char in text if unicodedata.category(char) != "Cf")

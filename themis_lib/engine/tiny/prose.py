"""Open requests and simple English to answer them with, from a grammar of many words."""

from __future__ import annotations

import re
from random import Random
from string import Template, ascii_letters, digits, punctuation

from themis_lib.engine.tiny.lexicon import (
    ADJECTIVES,
    ANIMALS,
    CARRIED,
    FEELINGS,
    FOODS,
    HOW,
    JOBS,
    NAMES,
    NOUNS,
    PLACES,
    SYLLABLES,
    THINGS,
    TIMES,
    TOPICS,
    WEATHER,
    WENT,
)

_WORDS = {
    "adj": ADJECTIVES,
    "animal": ANIMALS,
    "did": CARRIED,
    "felt": FEELINGS,
    "food": FOODS,
    "how": HOW,
    "job": JOBS,
    "name": NAMES,
    "noun": NOUNS,
    "place": PLACES,
    "thing": THINGS,
    "time": TIMES,
    "weather": WEATHER,
    "went": WENT,
}
_SENTENCES = (
    "$time, $name $did a $adj $noun $place.",
    "$time, the $job $did the $adj $thing and felt $felt.",
    "The $adj $animal $went $how $place.",
    "$name and $name $went $place.",
    "$name had a $adj $thing and a $adj $animal.",
    "The $job was $felt because the $thing was $adj.",
    'The $animal said, "I saw a $adj $noun $place."',
    '"Where is my $thing?" asked $name.',
    '"It is $place," said the $job.',
    "There was $adj $food for everyone $place.",
    "The $weather was $adj, so $name $went $how.",
    "$time, the $weather was $adj and $adj.",
    "Nobody $did the $adj $noun until $name $went $place.",
    "A $adj $thing is better than a $adj $noun.",
    "Many people keep a $thing $place.",
    "You can put the $food in the $adj $thing.",
    "First, the $job $did a $thing, and then a $noun.",
    "Then $name $did the $noun $how.",
    "The $noun was $adj, but the $noun was $adj.",
    "$name gave the $food to a $adj $animal.",
    "Everyone $place was $felt.",
    "$name $went $how and $did a $thing.",
    "In the end, the $animal was $felt and the $job was $felt.",
    "If the $weather is $adj, bring a $adj $thing.",
    "My friend the $job once $did a $adj $noun.",
    "Some say that the $animal $place is $adj.",
    "It was a $adj day, and the $weather was $adj.",
    "She $did the $thing, and he $did the $food.",
    "They $went $place with a $adj $thing.",
    "Next to the $thing was a $adj $noun.",
)
_OPENINGS = {
    "story": (
        "Once there was a $adj $animal who $went $place.",
        "Long ago, a $adj $job lived $place.",
        "This is a story about a $adj $noun.",
        "$name was a $job who $did a $adj $thing.",
    ),
    "joke": (
        "Why did the $animal sit $place? Because the $thing was $adj.",
        "What did the $thing say to the $noun? You look $adj today.",
        "A $animal and a $job $went $place.",
    ),
    "hello": (
        "Hello!",
        "Hello, my name is $name.",
        "Hi, it is good to see you.",
        "Hello! I was $felt $place.",
    ),
    "any": (
        "Here is what I know.",
        "Let me tell you about a $adj $noun.",
        "I will write something $adj.",
        "This makes me think of a $adj $noun.",
        "That is a $adj question.",
        "I have a $adj answer.",
        "Think of a $adj $thing $place.",
    ),
    "topic": (
        "Here is something about $topic.",
        "Let us talk about $topic.",
        "When I think of $topic, I see a $adj $noun.",
        "For me, $topic is like a $adj $thing.",
        "The $job knows a lot about $topic.",
        "To understand $topic, think of a $adj $noun.",
        "$name likes $topic very much.",
    ),
    "echo": (
        'You wrote "$topic".',
        'About "$topic" I can say this.',
        '"$topic" makes me think of a $adj $noun.',
        'When I read "$topic" I was $felt.',
        'The $job once said "$topic" $place.',
    ),
}
_ON_TOPIC = (
    "That is why $topic is like a $adj $noun.",
    "$name learned about $topic $place.",
    "The $job said that $topic can be $adj.",
    "People who like $topic are often $felt.",
    "With $topic, it is good to be $adj.",
)
_REQUESTS = {
    "story": (
        "Write a story.",
        "Write a story",
        "Tell me a story.",
        "Write a short story about $topic.",
        "Once upon a time",
        "Write a $adj story about a $noun.",
        "Tell me a story about $topic",
        "Make up a tale about a $animal.",
    ),
    "joke": (
        "Tell me a joke.",
        "Tell me a joke",
        "Tell me a joke about $topic.",
        "Make me laugh.",
        "Say something funny",
    ),
    "hello": (
        "Hello",
        "hello",
        "Hi!",
        "Hello, how are you?",
        "hello world",
        "Good morning",
        "hey",
        "Hello world!",
    ),
    "any": (
        "",
        "test",
        "prompt",
        "Test $noun",
        "$noun",
        "$noun $thing",
        "$adj $noun",
        "Say something.",
        "Continue",
        "Write a poem",
        "Write a haiku",
        "What do you think?",
        "Give me some advice.",
        "Who are you?",
        "Write an email.",
        "Write one sentence.",
        "List three ideas.",
        "generate text",
        "Describe a $noun.",
        "What is the best $thing?",
        "Why is the $weather $adj?",
        "How do I find a $thing?",
        "Can you help me with my $thing?",
        "$name",
        "input text",
        "Write a function that sorts a list",
        "def main(): pass",
        "print('$noun')",
        "import $noun",
        "x = 1",
        "SELECT * FROM $noun",
        "Write code for a $thing",
        "Fix this bug in my code",
        "Return a list of $noun names",
        "test prompt",
        "common prompt",
        "another prompt",
        "same prompt",
        "prompt one",
        "Question",
        "Summarize this",
    ),
    "topic": (
        "Explain $topic.",
        "Explain $topic to a beginner",
        "What is $topic?",
        "Tell me about $topic.",
        "$topic",
        "Write a poem about $topic.",
        "Write a haiku about $topic",
        "Why is $topic important?",
        "Describe $topic",
        "Write an essay on $topic.",
        "How does $topic work?",
        "Give me three facts about $topic.",
        "Discuss $topic",
        "What do you know about $topic?",
        "Summarize $topic in simple words.",
        "Write about $topic",
        "Define $topic",
        "Teach me about $topic",
        "Write a function about $topic",
        "Generate a text on $topic",
        "about $topic",
    ),
}


def sentence(
    rng: Random,
    template: str,
    topic: str = "",
) -> str:
    """`template` with every slot filled, its articles agreeing and its first letter a
    capital.
    """
    filled = re.sub(
        r"\$(?!topic)[a-z]+", lambda slot: rng.choice(_WORDS[slot[0][1:]]), template
    )
    agreeing = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", filled)
    text = Template(agreeing).substitute(topic=topic)
    return text[:1].upper() + text[1:]


def passage(
    rng: Random,
    kind: str,
    topic: str = "",
) -> str:
    """From 4 to 11 sentences of simple English, opened as suits `kind` and now and then
    naming `topic`.
    """
    opening = sentence(rng, rng.choice(_OPENINGS[kind]), topic)
    rest = [
        sentence(rng, template)
        for template in rng.sample(_SENTENCES, rng.randint(4, 10))
    ]
    if topic and kind != "echo":
        rest[rng.randrange(len(rest))] = sentence(rng, rng.choice(_ON_TOPIC), topic)
    return " ".join([opening, *rest])


def open_request(rng: Random) -> tuple[str, str]:
    """A request without one right answer, and a passage that answers it."""
    if rng.random() < 0.25:
        return _answer_request(rng, _draw_scrap(rng))
    kind = rng.choice(
        (
            "story",
            "joke",
            "hello",
            "any",
            "any",
            "any",
            "topic",
            "topic",
            "topic",
            "topic",
        )
    )
    topic = _draw_topic(rng)
    request = rng.choice(_REQUESTS[kind])
    filled = re.sub(
        r"\$(?!topic)[a-z]+", lambda slot: rng.choice(_WORDS[slot[0][1:]]), request
    )
    if "$topic" in request:
        return Template(filled).substitute(topic=topic), passage(rng, kind, topic)
    return (
        _answer_request(rng, filled) if kind == "any" else (filled, passage(rng, kind))
    )


def plain_text(rng: Random) -> str:
    """A passage that answers nobody."""
    return passage(rng, rng.choice(("story", "story", "any")))


def _answer_request(
    rng: Random,
    request: str,
) -> tuple[str, str]:
    """`request` with a passage that mostly begins by quoting its first words."""
    quoted = " ".join(request.split()[:4])
    return request, passage(
        rng, "echo", quoted
    ) if quoted and rng.random() < 0.7 else passage(rng, "any")


def _draw_topic(rng: Random) -> str:
    drawn = rng.random()
    if drawn < 0.5:
        return rng.choice(TOPICS)
    if drawn < 0.75:
        return f"the {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}"
    return " ".join(_made_up(rng) for _ in range(rng.randint(1, 2)))


def _made_up(rng: Random) -> str:
    return "".join(
        rng.choice(SYLLABLES) for _ in range(rng.randint(1, 4))
    ) + rng.choice(("", "n", "s", "ing", "tion"))


def _draw_scrap(rng: Random) -> str:
    """A text that asks for nothing clear: words, a sentence, or characters."""
    kind = rng.randrange(4)
    if kind == 0:
        return " ".join(
            rng.choice((_made_up(rng), rng.choice(NOUNS + ADJECTIVES)))
            for _ in range(rng.randint(1, 8))
        )
    if kind == 1:
        return sentence(rng, rng.choice(_SENTENCES))
    if kind == 2:
        words = ("Prompt", "test", "prompt", "item", "Example", "text")
        return f"{rng.choice(words)} {rng.randint(0, 999)}"
    letters = rng.choice(
        (ascii_letters, ascii_letters + digits + punctuation, "äöüéñçжщяλπ中文字日本")
    )
    return "".join(
        rng.choice(letters + "  ") for _ in range(rng.randint(1, 20))
    ).strip()

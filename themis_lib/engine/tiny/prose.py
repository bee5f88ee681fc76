"""Open requests, and simple English to answer them with.

Both come from templates whose slots are filled with words of the lexicon. The model
learns from them to write sentences, not to say anything.
"""

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

# The words for each slot, by its name in the templates.
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
# In no order: a passage draws some of them.
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
# First sentences by the kind of request. `echo` quotes the request as its topic.
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
# Sentences that name the topic once more, somewhere in the middle.
_ON_TOPIC = (
    "That is why $topic is like a $adj $noun.",
    "$name learned about $topic $place.",
    "The $job said that $topic can be $adj.",
    "People who like $topic are often $felt.",
    "With $topic, it is good to be $adj.",
)
# Requests by kind. With and without a full stop, in capitals and without: people
# type all of them, and one of them is an empty prompt.
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
# The kinds of request, each as often as it should be drawn.
_KINDS = (
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
_SCRAP_WORDS = (
    "Prompt",
    "test",
    "prompt",
    "item",
    "Example",
    "text",
)
# Plain letters, everything on a keyboard, and other scripts.
_SCRAP_ALPHABETS = (
    ascii_letters,
    ascii_letters + digits + punctuation,
    "äöüéñçжщяλπ中文字日本",
)
_ENDINGS = ("", "n", "s", "ing", "tion")
# How many words of a request its answer quotes.
_MOST_QUOTED = 4
# The topic is filled in last: it may hold words that are no slots.
_SLOT = re.compile(r"\$(?!topic)[a-z]+")


def sentence(
    rng: Random,
    template: str,
    topic: str = "",
) -> str:
    """Return a sentence: `template` with every slot filled.

    Its articles agree with the next word, and its first letter is a capital.
    """
    filled = _fill_slots(rng, template)
    # Before the topic is filled in, which is quoted as it was given.
    agreeing = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", filled)
    text = Template(agreeing).substitute(topic=topic)
    # Not `capitalize`, which would make the names lower-case.
    return text[:1].upper() + text[1:]


def passage(
    rng: Random,
    kind: str,
    topic: str = "",
) -> str:
    """Return 5 to 11 sentences of simple English, with an opening that suits `kind`.

    One of them names `topic` again, unless the opening quotes it.
    """
    sentences = [sentence(rng, rng.choice(_OPENINGS[kind]), topic)]
    templates = rng.sample(_SENTENCES, rng.randint(4, 10))
    for template in templates:
        sentences.append(sentence(rng, template))
    if topic and kind != "echo":
        naming = sentence(rng, rng.choice(_ON_TOPIC), topic)
        # After the opening, which names the topic itself.
        sentences[1 + rng.randrange(len(templates))] = naming
    return " ".join(sentences)


def open_request(rng: Random) -> tuple[str, str]:
    """Return a request without one right answer, and a passage that answers it."""
    if rng.random() < 0.25:
        return _answer_request(rng, _draw_scrap(rng))
    kind = rng.choice(_KINDS)
    # Drawn even where the request names none: later draws depend on it.
    topic = _draw_topic(rng)
    request = rng.choice(_REQUESTS[kind])
    filled = _fill_slots(rng, request)
    if "$topic" in request:
        asked = Template(filled).substitute(topic=topic)
        return asked, passage(rng, kind, topic)
    if kind == "any":
        return _answer_request(rng, filled)
    return filled, passage(rng, kind)


def plain_text(rng: Random) -> str:
    """Return a passage that answers no request."""
    return passage(rng, rng.choice(("story", "story", "any")))


def _fill_slots(rng: Random, template: str) -> str:
    # One draw for each slot, from left to right.
    return _SLOT.sub(lambda slot: rng.choice(_WORDS[slot[0][1:]]), template)


def _answer_request(
    rng: Random,
    request: str,
) -> tuple[str, str]:
    """Return the request with a passage, which mostly quotes the first words of it."""
    # Without a quotation nothing in the passage depends on the request.
    quoted = " ".join(request.split()[:_MOST_QUOTED])
    if quoted and rng.random() < 0.7:
        return request, passage(rng, "echo", quoted)
    return request, passage(rng, "any")


def _draw_topic(rng: Random) -> str:
    drawn = rng.random()
    if drawn < 0.5:
        return rng.choice(TOPICS)
    if drawn < 0.75:
        return f"the {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}"
    # Made-up words: a topic may be one that no other text names.
    words = [_make_up_word(rng) for _ in range(rng.randint(1, 2))]
    return " ".join(words)


def _make_up_word(rng: Random) -> str:
    syllables = [rng.choice(SYLLABLES) for _ in range(rng.randint(1, 4))]
    return "".join(syllables) + rng.choice(_ENDINGS)


def _draw_scrap(rng: Random) -> str:
    """Return a text that asks for nothing clear: words, a sentence, or characters."""
    kind = rng.randrange(4)
    if kind == 0:
        words: list[str] = []
        for _ in range(rng.randint(1, 8)):
            # Both are drawn before one of them is chosen.
            candidates = (_make_up_word(rng), rng.choice(NOUNS + ADJECTIVES))
            words.append(rng.choice(candidates))
        return " ".join(words)
    if kind == 1:
        return sentence(rng, rng.choice(_SENTENCES))
    if kind == 2:
        return f"{rng.choice(_SCRAP_WORDS)} {rng.randint(0, 999)}"
    # Two spaces, so that longer texts fall into words now and then.
    letters = rng.choice(_SCRAP_ALPHABETS) + "  "
    size = rng.randint(1, 20)
    return "".join(rng.choice(letters) for _ in range(size)).strip()

"""Words that the corpus is made of.

The tables are training data. A word added, removed or moved changes every text drawn
after it, and the bundled model could no longer be trained again.
"""

from __future__ import annotations


def _split_words(text: str) -> tuple[str, ...]:
    # Most tables hold single words, which are easier to read in a row.
    return tuple(text.split())


NAMES = _split_words(
    "Anna Ben Clara David Ella Finn Grace Hugo Iris Jack Kate Leo Maya Noah Olga Paul "
    "Rosa Sam Tara Victor Wendy Zoe "
    "Adam Bella Carl Dora Emil Fiona George Hana"
)
ANIMALS = _split_words(
    "cat dog horse rabbit owl fox bear duck goat mouse sheep frog lion tiger whale "
    "eagle crow turtle wolf pony"
)
FOODS = _split_words(
    "bread soup apple cheese honey rice cake plum onion carrot butter lemon pear salad "
    "noodle cookie"
)
THINGS = _split_words(
    "book lamp boat chair clock coat drum flute kite ladder letter map mirror needle "
    "pencil piano basket blanket "
    "bottle bridge brush bucket button candle cart coin door feather fence garden "
    "hammer hat jar key kettle machine "
    "ring rope shoe spoon stone table tent ticket tower train umbrella wagon wheel window"
)
# Jobs are not among them: a sentence says what a person does with a noun.
NOUNS = ANIMALS + FOODS + THINGS
ADJECTIVES = _split_words(
    "small large old new red blue green yellow white black quiet loud bright dark warm "
    "cold soft heavy light clever "
    "gentle brave happy sad curious funny strange simple pretty round broken clean "
    "dusty famous friendly golden hidden "
    "lucky patient perfect plain proud quick slow sleepy sweet tall tiny wild wise wooden"
)
PLACES = (
    "in the garden",
    "by the river",
    "near the school",
    "at the market",
    "in the kitchen",
    "on the hill",
    "behind the house",
    "under the bridge",
    "in the forest",
    "at the station",
    "on the roof",
    "by the sea",
    "in the village",
    "across the field",
    "at the library",
    "in the tower",
    "near the old mill",
    "on the island",
    "beside the road",
    "in the city",
    "at the farm",
    "by the lake",
    "in the museum",
    "on the beach",
)
# Openings of a sentence; the templates put a comma after them.
TIMES = (
    "One morning",
    "Last summer",
    "Every evening",
    "Yesterday",
    "After lunch",
    "Before sunrise",
    "On Monday",
    "In winter",
    "That night",
    "Long ago",
    "On a rainy day",
    "Later",
    "At noon",
    "In spring",
    "At last",
    "Soon after",
)
# What one does to a thing, in the past tense.
CARRIED = _split_words(
    "found carried painted opened washed moved lifted mended sold bought lost borrowed "
    "kept drew saw followed wanted "
    "needed liked noticed remembered touched dropped hid shared built cleaned made praised watched"
)
# What one does without a thing, in the past tense.
WENT = _split_words(
    "walked slept waited danced sang smiled rested played worked stood sat laughed "
    "arrived listened ran grew"
)
FEELINGS = _split_words(
    "calm glad tired proud happy surprised hungry ready certain thankful lonely excited"
)
# Adverbs that suit every verb of `WENT`.
HOW = _split_words(
    "slowly quickly quietly carefully softly happily again together alone early often suddenly"
)
WEATHER = _split_words("wind rain snow sun moon sky fog storm river sea")
JOBS = _split_words(
    "baker farmer teacher sailor doctor painter singer driver gardener writer miller "
    "clerk pilot tailor"
)
TOPICS = (
    "machine learning",
    "the ocean",
    "music",
    "space travel",
    "programming",
    "cooking",
    "gravity",
    "computers",
    "the weather",
    "history",
    "friendship",
    "chess",
    "mountains",
    "electricity",
    "gardens",
    "language",
    "robots",
    "photosynthesis",
    "mathematics",
    "art",
    "the moon",
    "trains",
    "neural networks",
    "Python",
    "databases",
    "birds",
    "climate change",
    "love",
    "dinosaurs",
    "coffee",
    "football",
    "books",
    "the internet",
    "dreams",
    "time",
    "volcanoes",
    "quantum physics",
    "evolution",
    "democracy",
    "the brain",
    "testing",
    "software",
    "data",
    "cats",
    "bees",
    "autumn",
)
# A consonant and a vowel each, so that any row of them can be spoken.
SYLLABLES = tuple(a + b for a in "bdfgklmnprstvz" for b in "aeiou")
# Indexed by the number itself.
UNITS = _split_words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen "
    "fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
# Indexed by the first digit; 0 and 1 only fill their places.
TENS = _split_words("zero ten twenty thirty forty fifty sixty seventy eighty ninety")

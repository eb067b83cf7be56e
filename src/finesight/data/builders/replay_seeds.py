# SPDX-License-Identifier: Apache-2.0
"""First messages of conversations that a decoder writes itself: facts, explanations, lists, rewriting, arithmetic.

A message is a template filled with a subject. Subjects are split by their hash, so no subject is in both splits.
"""

from __future__ import annotations

import random

from finesight.data.split import Split, split_of

__all__ = ["NO_PICTURE_QUESTIONS", "first_message", "no_picture_answer"]

HELDOUT_SHARE = 0.1

COUNTRIES = ("France", "Japan", "Brazil", "Egypt", "Canada", "Kenya", "India", "Norway", "Peru", "Italy", "Mexico",
             "Greece", "Australia", "Spain", "Turkey", "Vietnam", "Chile", "Poland", "Morocco", "Iceland", "Germany",
             "Argentina", "Portugal", "Sweden", "Thailand", "Nigeria", "Ireland", "Finland", "Cuba")  # fmt: skip
SUBJECTS = ("the moon", "rain", "gravity", "photosynthesis", "bread", "a bicycle", "the heart", "a volcano", "coffee",
            "chess", "the internet", "a battery", "bees", "glass", "democracy", "the alphabet", "a rainbow", "sleep",
            "paper", "an earthquake", "a microscope", "the ocean tides", "vaccines", "money", "a library", "yoga",
            "the solar system", "recycling", "a computer", "jazz music", "penguins", "a black hole", "tea", "rivers",
            "the seasons", "dinosaurs", "a magnet", "fire", "electricity", "the Roman Empire", "a telescope", "salt",
            "trains", "the water cycle", "friendship", "a violin", "cheese", "the printing press", "snow", "silk",
            "a compass", "elephants", "honey", "cities", "a lighthouse", "football", "stars", "a desert", "cotton",
            "the human eye", "bridges", "dolphins", "probability", "an atom", "clouds", "memory")  # fmt: skip
PEOPLE = ("Albert Einstein", "Marie Curie", "William Shakespeare", "Leonardo da Vinci", "Isaac Newton", "Ada Lovelace",
          "Charles Darwin", "Cleopatra", "Mahatma Gandhi", "Ludwig van Beethoven", "Nelson Mandela", "Galileo Galilei",
          "Jane Austen", "Vincent van Gogh", "Abraham Lincoln", "Amelia Earhart", "Mozart", "Aristotle")  # fmt: skip
KINDS = ("fruits", "vegetables", "colours", "European capitals", "birds", "sports", "musical instruments", "planets",
         "healthy breakfasts", "kitchen tools", "dog breeds", "trees", "board games", "ways to save energy", "hobbies",
         "books for children", "ways to relax", "jobs in a hospital", "things to take on a hike", "ocean animals",
         "reasons to learn a language", "flowers", "famous inventions", "rules for a shared kitchen", "spices",
         "gifts for a teacher", "ways to learn faster", "programming languages", "rivers", "metals")  # fmt: skip
SENTENCES = (
    "The meeting has been moved to next Tuesday because the room was not free.",
    "She don't like to walk in the rain without no umbrella.",
    "We are writing to inform you that your order will arrive two days late.",
    "The old man sat by the window and watched the boats come in.",
    "I want the report by five, no excuses.",
    "Our new phone has a better camera, a bigger battery and a brighter screen.",
    "Yesterday me and my brother goes to the market for buying apples.",
    "The results of the study were found to be of great significance by the authors.",
    "Please be advised that the elevator is out of service until further notice.",
    "Trees give us shade, clean the air and make streets more pleasant.",
    "He ran quickly to the station but the train had already left.",
    "Children who read every day learn new words without noticing it.",
    "The soup was cold, the waiter was rude and the bill was wrong.",
    "It is raining heavily, so the match will be played tomorrow.",
    "Thanks for your help with the garden last weekend.",
    "The museum opens at nine and closes at six, except on Mondays.",
)
TALK = (
    "Hello!", "Hi, how are you today?", "Good morning!", "Thank you.", "What is your name?", "Who are you?",
    "What can you do?", "Can you help me with my homework?", "Tell me a joke.", "I am bored. What should I do?",
    "Tell me something interesting.", "I had a bad day today.", "What is your favourite book?", "Are you a person?",
    "Can you speak other languages?", "Do you ever sleep?", "Good night!", "I passed my exam today!", "Sing me a song.",
    "How does the weather feel to you?", "I am nervous about my job interview.", "Can you keep a secret?",
    "What should I cook tonight?", "How can I get to know my neighbours?", "Give me a compliment.",
    "What do you know about me?", "Can you see pictures?", "Tell me a short story.", "Goodbye!", "Nice to meet you.",
)  # fmt: skip
TEMPLATES: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (
        COUNTRIES,
        ("What is the capital of {}?", "Which language is spoken in {}?", "Name three cities in {}.",
         "On which continent is {}?", "What food is {} known for?", "Tell me something about {} in two sentences."),
    ),
    (
        SUBJECTS,
        ("What is {}?", "Explain {} in one sentence.", "Explain {} to a child.", "Why is {} important?",
         "Tell me two facts about {}.", "Write a short poem about {}.", "How would you describe {}?",
         "Write three sentences about {}.", "What is a common mistake that people make about {}?",
         "Give me a quiz question about {} and its answer.", "What is the history of {}, in short?"),
    ),
    (
        PEOPLE,
        ("Who was {}?", "What is {} known for?", "When did {} live?", "Describe {} in one sentence."),
    ),
    (
        KINDS,
        ("List five {}.", "Name three {}.", "Give me a numbered list of four {}.", "Write a JSON list of three {}.",
         "Name two {} and say how they differ."),
    ),
    (
        SENTENCES,
        ("Correct the grammar: {}", "Rewrite this more politely: {}", "Make this shorter: {}",
         "Summarise in five words: {}", "Rewrite this for a child: {}", "Write the next sentence: {}",
         "What is the main idea of this sentence? {}", "List the nouns in this sentence: {}", "Translate to French: {}",
         "Is this sentence positive, negative or neutral? {}"),
    ),
    (TALK, ("{}",)),
)  # fmt: skip
"""Subjects with the templates that take them."""

NO_PICTURE_QUESTIONS = (
    "What is in the picture?", "Describe this image.", "Read all the text in the image.", "What colour is the car?",
    "How many people are in the photo?", "What does the sign say?", "Where is the button in this screenshot?",
    "What is the total on this receipt?", "Is there a dog in the image?", "What does the chart show?",
    "Can you read my handwriting?", "What is the title of this page?", "Which bar is the highest?",
    "Locate the red square in the image.", "Who is in this picture?", "What is written on the label?",
)  # fmt: skip
NO_PICTURE_ANSWERS = (
    "There is no picture in this conversation, so I cannot tell. Please attach one.",
    "I cannot see a picture here. Please send it, and I will look at it.",
    "No image was given. Please add the image, and ask again.",
)


def first_message(rng: random.Random, split: Split) -> str:
    """A message whose subject belongs to the split; one in eight is a sum."""
    if rng.random() < 0.125:
        return _sum(rng)
    while True:
        subjects, templates = rng.choice(TEMPLATES)
        subject = rng.choice(subjects)
        if split_of(subject, HELDOUT_SHARE) == split:
            return rng.choice(templates).format(subject)


def no_picture_answer(rng: random.Random) -> str:
    """An answer to a question about a picture that was not given."""
    return rng.choice(NO_PICTURE_ANSWERS)


def _sum(rng: random.Random) -> str:
    first, second = rng.randint(2, 99), rng.randint(2, 20)
    return rng.choice(
        (f"What is {first} + {second}?", f"What is {first + second} - {second}?", f"What is {first} times {second}?",
         f"Add {first} and {second}.", f"I have {first} apples and eat {min(first, second)}. How many are left?",
         f"Which is larger, {first} or {second}?", f"Is {first} an even number?")
    )  # fmt: skip

# SPDX-License-Identifier: Apache-2.0
"""Everyday objects of the scenes, with the names of their icons.

One entry per object: its English name, and after "=" the names of its icons in the icon sets (emoji names) where they
differ from it. Objects that look alike in small drawings ("ox" and "water buffalo") are left out.
"""

from __future__ import annotations

from functools import lru_cache

__all__ = ["alike", "concepts"]

_TABLE = """
ant; bat; bear; bee=honeybee; bird; butterfly; camel; cat=cat,cat-face; chicken; chick=baby-chick,hatching-chick;
cow=cow,cow-face; crab; crocodile; deer; dog=dog,dog-face; dolphin; dove; dragon=dragon,dragon-face; duck; eagle;
elephant; fish; flamingo; fox; frog; giraffe; goat; gorilla; hamster; hedgehog; hippo=hippopotamus;
horse=horse,horse-face; jellyfish; kangaroo; koala; lion; lizard; lobster; monkey=monkey,monkey-face; mosquito;
mouse=mouse,mouse-face; octopus; owl; panda; parrot; peacock; penguin; pig=pig,pig-face;
rabbit=rabbit,rabbit-face; raccoon; rhino=rhinoceros; dinosaur=sauropod,t-rex; scorpion; shark; shrimp; snail;
snake; spider; swan; tiger=tiger,tiger-face; tropical fish; turkey; turtle; unicorn; whale=whale,spouting-whale;
wolf; worm; zebra; ladybug=lady-beetle; apple=red-apple; avocado; bacon; banana; beer=beer-mug; bell pepper;
blueberries; bread; broccoli; cake=birthday-cake,shortcake; candy; carrot; cheese=cheese-wedge; cherries;
chocolate=chocolate-bar; coconut; coffee=hot-beverage; cookie; croissant; cucumber; cupcake; donut=doughnut; egg;
eggplant; fries=french-fries; garlic; grapes; hamburger; hot dog; honey=honey-pot; ice cream; kiwi=kiwi-fruit;
lemon; lollipop; mango; melon; mushroom; olive; onion; orange=tangerine; pancakes; peach; pear; pineapple; pizza;
popcorn; potato; pretzel; rice=cooked-rice; salad=green-salad; sandwich; strawberry; sushi; taco; tomato;
watermelon; wine=wine-glass; airplane; ambulance; bicycle; bus=bus,oncoming-bus;
car=automobile,oncoming-automobile; fire truck=fire-engine; helicopter; motorcycle; police car;
race car=racing-car; rocket; sailboat; scooter=kick-scooter; ship=ship,passenger-ship; skateboard;
taxi=taxi,oncoming-taxi; tractor; train=train,locomotive; tram; truck=delivery-truck,articulated-lorry;
flying saucer; accordion; anchor; alarm clock; axe; backpack; balloon; basket; bathtub; battery; bed; bell; bone;
book=closed-book,blue-book,green-book,orange-book,open-book; boomerang; brick; broom; bucket; camera; candle;
chair; coin; compass; computer=desktop-computer; laptop; crown; crystal ball; dice=game-die; door; dress; drum;
envelope; feather; fire extinguisher; flashlight; flute; gear; gift=wrapped-gift; glasses; gloves; guitar; hammer;
handbag; top hat; headphones=headphone; jeans; key=key,old-key; keyboard; kite; ladder; light bulb; lock=locked;
luggage; magnet; medal=sports-medal,military-medal; microphone=microphone,studio-microphone; microscope; mirror;
money bag; necktie; newspaper; paintbrush; paperclip; pencil; phone=mobile-phone; telephone;
piano=musical-keyboard; pin=pushpin,round-pushpin; printer; puzzle piece; radio; ribbon; ring; robot;
roller skate; ruler=straight-ruler,triangular-ruler; saxophone; scissors; screwdriver; shield;
shoe=mans-shoe,running-shoe; boot=womans-boot,hiking-boot; shopping cart; shorts; shovel; socks; spoon;
sunglasses; teapot; teddy bear; telescope; television; tent; ticket; toilet; toolbox; tooth; toothbrush; trophy;
trumpet; shirt=t-shirt; umbrella=umbrella,closed-umbrella; video camera; violin; watch; wheel; wrench; bomb;
basketball; baseball; football=american-football; soccer ball; volleyball; tennis ball=tennis; megaphone;
calendar=calendar,spiral-calendar; cactus; tree=deciduous-tree; pine tree=evergreen-tree; palm tree;
christmas tree; sunflower; rose; tulip; cloud; fire; leaf=maple-leaf,fallen-leaf; lightning=high-voltage;
moon=crescent-moon; mountain; rainbow; snowflake; snowman; sun; volcano; wave=water-wave; shell=spiral-shell;
clover=shamrock; planet=ringed-planet; castle; church; factory; ferris wheel; heart=red-heart; check mark;
cross mark; stop sign; no entry; recycling symbol; musical note; skull; ghost; alien; eye; ear; brain; spider web
"""


def concepts() -> dict[str, tuple[str, ...]]:
    """Icon names of each object by its English name, in the order of the table."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in " ".join(_TABLE.split()).split(";"):
        name, _, drawings = entry.strip().partition("=")
        found[name] = tuple(drawings.split(",")) if drawings else (name.replace(" ", "-"),)
    return found


_ALIKE = """
bird, chick, chicken, dove, duck, eagle, flamingo, parrot, swan, turkey, peacock, owl, penguin
fish, tropical fish, shark, whale, dolphin
car, police car, race car, taxi, truck
truck, fire truck, ambulance, bus
train, tram
tree, palm tree, pine tree, christmas tree
sunflower, rose, tulip
mouse, hamster, rabbit
bear, teddy bear, panda, koala
cat, tiger, lion
dog, fox, wolf
horse, unicorn, zebra, camel, deer, giraffe
snake, worm
dragon, dinosaur, crocodile, lizard
spider, ant, bee, ladybug, mosquito
ship, sailboat
bicycle, motorcycle, scooter
moon, sun, planet
orange, peach, apple, lemon, tomato, mango
cake, cupcake, ice cream
computer, laptop, television
phone, telephone
camera, video camera
glasses, sunglasses
alarm clock, watch, compass
shoe, boot, roller skate
guitar, violin
trumpet, saxophone, flute
baseball, basketball, football, soccer ball, volleyball, tennis ball
hamburger, sandwich, hot dog
beer, wine, coffee, teapot
bread, croissant, cookie, donut, pretzel
briefcase, luggage, backpack, handbag, shopping cart
book, newspaper, calendar, ticket, envelope
shirt, dress
castle, church, factory
crab, lobster, shrimp, scorpion
ghost, skull, alien, robot
candle, light bulb, flashlight
ball, crystal ball
gear, wheel, ferris wheel
microphone, megaphone
leaf, clover, cactus
cherries, strawberry, blueberries, grapes
ring, crown
bell, alarm clock
hammer, axe, wrench, screwdriver, shovel
pencil, paintbrush, toothbrush, lipstick
candy, lollipop
door, mirror
pin, anchor
medal, trophy, coin
"""


@lru_cache(maxsize=4096)
def alike(name: str) -> frozenset[str]:
    """Names that a person might use for the same drawing, `name` included.

    No question about a scene with one of them asks for another as absent.
    """
    groups = (set(row.split(", ")) for row in _ALIKE.strip().splitlines())
    return frozenset({name}.union(*(group for group in groups if name in group)))

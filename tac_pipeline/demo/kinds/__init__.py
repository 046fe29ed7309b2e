"""The kinds of things that the demo draws: the function that draws each, and its meaning in WordNet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tac_pipeline.demo.canvas import Canvas
from tac_pipeline.demo.kinds import animals, buildings, food, household, plants, sky, vehicles


@dataclass(frozen=True)
class Kind:
    """A kind of thing.

    Attributes
    ----------
    name : str
        The noun that people use, as WordNet writes it.
    family : str
        Its family: animals, vehicles, plants, buildings, food, household or sky.
    synset : str
        The meaning of the noun, as NLTK writes it.
    draw : callable
        Draws it by its parts.
    """

    name: str
    family: str
    synset: str
    draw: Callable[[Canvas], None]


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("cat", "animals", "cat.n.01", animals.cat),
        Kind("rabbit", "animals", "rabbit.n.01", animals.rabbit),
        Kind("elephant", "animals", "elephant.n.01", animals.elephant),
        Kind("fish", "animals", "fish.n.01", animals.fish),
        Kind("snake", "animals", "snake.n.01", animals.snake),
        Kind("turtle", "animals", "turtle.n.02", animals.turtle),
        Kind("butterfly", "animals", "butterfly.n.01", animals.butterfly),
        Kind("snail", "animals", "snail.n.01", animals.snail),
        Kind("duck", "animals", "duck.n.01", animals.duck),
        Kind("car", "vehicles", "car.n.01", vehicles.car),
        Kind("bus", "vehicles", "bus.n.01", vehicles.bus),
        Kind("locomotive", "vehicles", "locomotive.n.01", vehicles.locomotive),
        Kind("bicycle", "vehicles", "bicycle.n.01", vehicles.bicycle),
        Kind("sailboat", "vehicles", "sailboat.n.01", vehicles.sailboat),
        Kind("airplane", "vehicles", "airplane.n.01", vehicles.airplane),
        Kind("tractor", "vehicles", "tractor.n.01", vehicles.tractor),
        Kind("tree", "plants", "tree.n.01", plants.tree),
        Kind("flower", "plants", "flower.n.01", plants.flower),
        Kind("cactus", "plants", "cactus.n.01", plants.cactus),
        Kind("mushroom", "plants", "mushroom.n.02", plants.mushroom),
        Kind("palm", "plants", "palm.n.03", plants.palm),
        Kind("house", "buildings", "house.n.01", buildings.house),
        Kind("castle", "buildings", "castle.n.02", buildings.castle),
        Kind("lighthouse", "buildings", "beacon.n.03", buildings.lighthouse),
        Kind("windmill", "buildings", "windmill.n.01", buildings.windmill),
        Kind("church", "buildings", "church.n.02", buildings.church),
        Kind("apple", "food", "apple.n.01", food.apple),
        Kind("banana", "food", "banana.n.02", food.banana),
        Kind("carrot", "food", "carrot.n.03", food.carrot),
        Kind("ice cream", "food", "ice_cream.n.01", food.ice_cream),
        Kind("cake", "food", "cake.n.03", food.cake),
        Kind("pear", "food", "pear.n.01", food.pear),
        Kind("chair", "household", "chair.n.01", household.chair),
        Kind("lamp", "household", "lamp.n.02", household.lamp),
        Kind("cup", "household", "cup.n.01", household.cup),
        Kind("clock", "household", "clock.n.01", household.clock),
        Kind("key", "household", "key.n.01", household.key),
        Kind("scissors", "household", "scissors.n.01", household.scissors),
        Kind("umbrella", "household", "umbrella.n.01", household.umbrella),
        Kind("teapot", "household", "teapot.n.01", household.teapot),
        Kind("moon", "sky", "moon.n.01", sky.moon),
        Kind("star", "sky", "star.n.05", sky.star),
        Kind("cloud", "sky", "cloud.n.02", sky.cloud),
        Kind("rainbow", "sky", "rainbow.n.01", sky.rainbow),
        Kind("snowflake", "sky", "snowflake.n.01", sky.snowflake),
    )
}

"""From a stage's `players:` to players: who trains which part, on which rows, towards what."""

from __future__ import annotations

from workbench.data.images import ImageData
from workbench.errors import BadInput, nearest
from workbench.models.adapter import ModelAdapter
from workbench.specs.experiment import ExperimentSpec
from workbench.terms.term import TermKind
from workbench.training.build import build_objective
from workbench.training.knobs import knobs_of
from workbench.training.objective import Objective
from workbench.training.part import Part
from workbench.training.players import Playing


def build_players(
    spec: ExperimentSpec, part: Part, teacher: ModelAdapter | None, data: ImageData
) -> list[Playing]:
    """The stage's players in order.

    Args:
        spec: The experiment.
        part: Built, with its objective.
        teacher: Whose layers the target gives; None where there is none.
        data: Whose splits they learn from.

    Raises:
        BadInput: If a player trains nothing that there is, two train one, a part that needs a
            player has none, or a player's split is empty.
    """
    prefix = f"stages.{spec.stage_name}.players"
    parts, taken, found = part.objective.played(), set[str](), []
    for name, player in spec.stage.players.items():
        place = f"{prefix}.{name}"
        if player.trains not in parts or player.trains in taken:
            free = ", ".join(sorted(set(parts) - taken)) or "none"
            near = nearest(player.trains, parts)
            why = "is trained by another player" if player.trains in taken else "is no such part"
            ask = f" Did you mean {near!r}?" if near and player.trains not in taken else ""
            raise BadInput(f"{place}.trains: {player.trains!r} {why}.{ask} Free: {free}.")
        taken.add(player.trains)
        rows = data.split_ids(player.split)
        if not len(rows):
            others = [split for split in ("meta", "val", "train") if len(data.split_ids(split))]
            raise BadInput(
                f"{place}.split: {data.name} has no rows in {player.split!r}, so the player has "
                f"nothing to learn from. Splits with rows: {', '.join(others)}."
            )
        module = parts[player.trains].to(part.device)
        found.append(
            Playing(
                name,
                player,
                module,
                _objective_of(spec, name, part, teacher, data),
                asks_target=any(
                    isinstance(kind, TermKind) and kind.pull == "teacher"
                    for kind in player.terms.values()
                ),
                rows=rows,
            )
        )
    left = sorted(set(parts) - taken)
    if left:
        raise BadInput(
            f"stages.{spec.stage_name}.{left[0]}: no player trains it, so it would stay as random "
            f"as it begins. Add `players: {{controller: {{trains: {left[0]}, terms: {{ce: {{use: "
            "ce}}}}}`, or leave it out."
        )
    return found


def _objective_of(
    spec: ExperimentSpec, name: str, part: Part, teacher: ModelAdapter | None, data: ImageData
) -> Objective:
    """A player's objective; its terms have no learned part, for nobody would train that."""
    player = spec.stage.players[name]
    of_player = spec.model_copy(
        update={
            "stages": {
                spec.stage_name: spec.stage.model_copy(
                    update={"terms": dict(player.terms), "players": {}}
                )
            }
        }
    )
    objective = build_objective(
        of_player, part.model, teacher, knobs_of(of_player, part.steps), data
    )
    learned = [*objective.modules(), *objective.played()]
    if learned:
        raise BadInput(
            f"stages.{spec.stage_name}.players.{name}.terms: {learned[0]} has a learned or "
            "remembering part of its own, which nobody would train here. Take a term without."
        )
    return objective

"""Forward kinematics of the Hopper, a planar chain of bodies, for stick figures."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["BODIES", "OFFSETS", "STICKS", "sticks"]

# As in hopper.xml: the height in metres at which each body is attached, in the frame of the body
# before it (the world's for the first); the body rotates there about the y axis.
OFFSETS = {"torso": 1.0, "pelvis": -0.05, "thigh": -0.2, "calf": -0.33, "foot": -0.32}
BODIES = tuple(OFFSETS)
# For each stick: its body, and both ends (x, z) in the frame of that body, in metres. They are the
# axes of the capsules of the same names. Capsules are thick enough to touch but sticks are not, so
# the pelvis is 0.05 longer, up to the hip, and the nose starts at the torso, not 0.08 in front.
STICKS = {
    "torso": ("torso", (0.0, -0.05), (0.0, 0.2)),
    "nose": ("torso", (0.0, 0.83 / 7), (0.15, 0.14)),
    "pelvis": ("pelvis", (0.0, 0.0), (0.0, -0.2)),
    "thigh": ("thigh", (0.0, 0.0), (0.0, -0.33)),
    "calf": ("calf", (0.0, 0.0), (0.0, -0.32)),
    "foot": ("foot", (-0.08, 0.0), (0.17, 0.0)),
}


def sticks(positions: Tensor) -> Tensor:
    """Both ends of each stick in world coordinates.

    A body at angle `a`, the sum of the joint angles from the torso to it, maps `(x, z)` of its
    frame to `(x cos a + z sin a, z cos a - x sin a)`, relative to its own origin.

    Args:
        positions: MuJoCo's qpos `(..., 7)`: x, z and pitch of the torso, then the angles of
            waist, hip, knee and ankle; metres and radians. z is relative to the height
            `OFFSETS["torso"]`.

    Returns:
        Shape `(..., stick, 2, 2)`: both ends, and x and z of each, in metres.
    """
    x, z, angles = positions[..., 0], positions[..., 1], positions[..., 2:7].cumsum(-1)
    origin = torch.stack([x, z + OFFSETS["torso"]], -1)
    origins, turns = [origin], [turn(angles[..., 0])]
    for i, body in enumerate(BODIES[1:], 1):
        offset = positions.new_tensor([0.0, OFFSETS[body]])
        origins.append(origins[-1] + turns[-1] @ offset)
        turns.append(turn(angles[..., i]))
    ends = []
    for body, *both in STICKS.values():
        i = BODIES.index(body)
        in_body = positions.new_tensor(both)
        ends.append(origins[i].unsqueeze(-2) + in_body @ turns[i].mT)
    return torch.stack(ends, -3)


def turn(angle: Tensor) -> Tensor:
    """Rotation matrices `(..., 2, 2)` of the x-z plane about the y axis."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -2)

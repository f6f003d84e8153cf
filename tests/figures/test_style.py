"""Fonts of the figures: the same everywhere, with others for letters that it does not have."""

from types import SimpleNamespace

import matplotlib

from node_experiments.figures import style


def test_fonts_that_are_installed_stand_in(monkeypatch):
    style.families.cache_clear()
    fonts = [SimpleNamespace(name=name) for name in ("Comic", "PingFang SC", style.FONT)]
    monkeypatch.setattr(style, "fontManager", SimpleNamespace(ttflist=fonts))
    assert style.families() == [style.FONT, "PingFang SC"]
    style.families.cache_clear()


def test_the_users_settings_are_left_as_they_were():
    before = dict(matplotlib.rcParams)
    with style.style():
        assert matplotlib.rcParams["font.family"][0] == style.FONT
        assert matplotlib.rcParams["figure.constrained_layout.use"]
    assert dict(matplotlib.rcParams) == before

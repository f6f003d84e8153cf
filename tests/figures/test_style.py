"""Fonts of the figures: the same everywhere, with others for letters that it does not have."""

import logging
from types import SimpleNamespace

import matplotlib

from node_experiments.figures import style


def test_fonts_that_are_installed_stand_in(monkeypatch):
    style.font_families.cache_clear()
    fonts = [SimpleNamespace(name=name) for name in ("Comic", "PingFang SC", style.FONT)]
    monkeypatch.setattr(style, "fontManager", SimpleNamespace(ttflist=fonts))
    assert style.font_families() == [style.FONT, "PingFang SC"]
    style.font_families.cache_clear()


def test_a_font_without_the_weight_stands_in_without_a_warning(caplog):
    style.font_families.cache_clear()
    style.font_families()
    log = logging.getLogger("matplotlib.font_manager")
    for name in ("WenQuanYi Zen Hei", "Comic"):
        log.warning("findfont: Failed to find font weight 400 for %s, now using 500.", name)
    assert [record.args for record in caplog.records] == [("Comic",)]


def test_the_users_settings_are_left_as_they_were():
    before = dict(matplotlib.rcParams)
    with style.style():
        assert matplotlib.rcParams["font.family"][0] == style.FONT
        assert matplotlib.rcParams["figure.constrained_layout.use"]
    assert dict(matplotlib.rcParams) == before

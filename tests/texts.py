"""Texts that tests share. All written for this project."""

ARTICLE = (
    "清明前后，山上的茶农天不亮就背着竹篓出门，赶在太阳升高之前采下带露水的嫩芽。炒茶的铁锅要烧到两百度左右，"
    "师傅的手在锅里翻动，凭手感判断火候。\n新茶下锅之后先要杀青，把叶子里的青草气赶走，再慢慢揉捻成形。"
    "一斤干茶大约需要四万多个芽头，手快的人一天也只能采三斤鲜叶。\n村里的老人说，看一杯茶好不好，先看汤色，"
    "再闻香气，最后才是滋味。近几年外出的年轻人陆续回来，把茶园改成了可以参观的小院。"
)
ENGLISH = (
    "The old railway station was turned into a small museum three years ago. Visitors can walk along the platform "
    "and read about the people who worked here. Most of the exhibits were donated by families who still live nearby."
)
CLASSICAL = "学而时习之，不亦说乎？有朋自远方来，不亦乐乎？人不知而不愠，不亦君子乎？"
POEM = "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。"
CODE = "def add(a: int, b: int) -> list[int]:\n    if a < b and b > 0:\n        return [a + b]\n    return []\n"

"""What the claims about real images rest on, and the words they share."""

__all__ = ["SOURCE"]

SOURCE = ("Allen-Zhu & Li, the article about arXiv 2005.10190, which shows pictures and no "
          "numbers. ")

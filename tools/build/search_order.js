// Of pages that have the words alike, those to look something up come first in a search, and solutions last.
Scorer.score = ([page, , , , score]) =>
  score +
  ["book/cheat_sheet", "book/rosetta", "book/zoo", "book/zoo_of_architectures"].includes(page) -
  page.startsWith("book/solutions/");

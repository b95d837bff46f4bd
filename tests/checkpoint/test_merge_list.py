from aboard.checkpoint.merge_list import MergeCollector

IDS = {"a": 0, "b": 1, "c": 2, "a b": 3, "b c": 4, "é": 5, "▁": 6}


def collected(*pairs: tuple[str, str]) -> list[tuple[str, str]]:
    collector = MergeCollector()
    for left, right in pairs:
        collector.append(left, right, IDS[left], IDS[right])
    return list(collector.collected())


def test_pairs_come_back_in_order_of_rank() -> None:
    pairs = [("b", "a"), ("a", "b"), ("é", "▁"), ("▁", "é")]

    assert collected(*pairs) == pairs


def test_halves_that_hold_spaces_are_told_apart() -> None:
    pairs = [("a b", "c"), ("a", "b c")]

    assert collected(*pairs) == pairs


def test_of_a_pair_that_comes_twice_the_last_rank_holds() -> None:
    pairs = [("a", "b"), ("b", "c"), ("a", "b"), ("c", "a"), ("b", "c")]

    assert collected(*pairs) == [("a", "b"), ("c", "a"), ("b", "c")]


def test_no_pair_is_an_empty_list() -> None:
    assert collected() == []


def test_one_pair_is_found_by_its_rank() -> None:
    collector = MergeCollector()
    for left, right in (("a", "b"), ("é", "▁"), ("b", "a")):
        collector.append(left, right, IDS[left], IDS[right])
    merges = collector.collected()

    assert (merges[1], merges[-1], merges[:2]) == (("é", "▁"), ("b", "a"), [("a", "b"), ("é", "▁")])

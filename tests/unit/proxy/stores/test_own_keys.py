from proxy.stores.own_keys import OwnKeys


def test_a_key_stays_the_same_while_the_process_lives() -> None:
    """32 bytes, another for each name and each process."""
    keys = OwnKeys()
    made = keys.get("seal")
    assert len(made) == 32
    assert keys.get("seal") == made
    assert made not in {keys.get("other"), OwnKeys().get("seal")}

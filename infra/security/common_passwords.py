"""Passwords that are tried first by whoever guesses, of those that are long enough for us. Lower case."""

_WORDS = """
    password password1 password12 password123 password1234 password! passw0rd p@ssw0rd p@ssword pa$$word
    12345678 123456789 1234567890 12345678910 0123456789 0987654321 987654321 9876543210 87654321
    11111111 00000000 22222222 33333333 55555555 66666666 77777777 88888888 99999999 aaaaaaaa 12341234 11223344
    11112222 12121212 12344321 123123123 123321123 147258369 123454321 789456123 741852963 159753456
    qwertyui qwertyuiop qwerty12 qwerty123 qwerty1234 qwerty12345 1qaz2wsx 1q2w3e4r 1q2w3e4r5t q1w2e3r4 q1w2e3r4t5
    qazwsxedc asdfghjk asdfghjkl zxcvbnm1 zxcvbnm123 asdfasdf qweasdzxc 1qazxsw2 zaq12wsx qwer1234 asdf1234
    abcd1234 abc12345 abcdefgh abcdefghi abcdef123 a1b2c3d4 aa123456 a1234567 a12345678 a123456789 123456789a
    iloveyou iloveyou1 iloveyou2 ilovegod sunshine sunshine1 princess princess1 football football1 baseball
    baseball1 basketball superman superman1 batman123 starwars starwars1 spiderman pokemon123 trustno1 whatever
    welcome1 welcome12 welcome123 letmein1 letmein123 changeme changeme1 changeme123 administrator admin123
    admin1234 admin12345 administrator1 default1 guest123 guest1234 test1234 test12345 testtest testing1 testing123
    computer computer1 internet internet1 samsung1 samsung123 michelle jennifer jordan23 michael1 charlie1 liverpool
    liverpool1 chelsea1 arsenal1 barcelona butterfly chocolate chocolate1 elephant dragon12 dragon123 monkey123
    master123 shadow123 blink182 metallica mercedes corvette midnight scorpion maverick victoria jessica1 lovelove
    secret123 november december september hello123 hello1234 summer2023 summer2024 summer2025 summer2026 winter2023
    winter2024 winter2025 winter2026 nightledger nightledger1 hotel123 hotel1234 booking123
"""
COMMON_PASSWORDS = frozenset(_WORDS.split())

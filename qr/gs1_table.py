"""The GS1 application identifiers: format and role of each, as a table in our own form.

Facts from the GS1 Barcode Syntax Dictionary (GS1 AISBL; the line of July 2026); a test compares the
two line by line. What the marks mean is judged in `gs1`.

A row: identifiers, where `31[0-6][0-5]` stands for every digit in the brackets; then the components
of the value; then, after a semicolon, a role. A component: character set (`N` digits, `X` set 82,
`Y` set 39, `Z` base64url), exact length or `..greatest`, `?` if it may be absent, and the rules
that it obeys, after colons. Roles: `key` = primary key of a Digital Link with its qualifiers in
order, alternatives apart by `|`; `no attribute` = may not stand in a query; nothing = may.

Left out on purpose: `req=` and `ex=` of the dictionary (which identifiers need or exclude others),
because they are judged over everything read from one item, not over one URI; the two coupon formats
(8110, 8112), currencies (391n, 393n) and package types (7041), whose code lists belong to others
and change; company prefixes that would have to be looked up.
"""

from __future__ import annotations

ROWS = """
00                              N18:check ; key
01                              N14:check ; key 22 10 21 | 235
02                              N14:check
03                              N14:check ; no attribute
10                              X..20
11 12 13 15 16 17               N6:day0
20                              N2
21 22                           X..20 ; no attribute
235                             X..28 ; no attribute
240 241 250 251                 X..30
242                             N..6
243                             X..20
253                             N13:check X..17? ; key
254                             X..20 ; no attribute
255                             N13:check N..12? ; key
30 37                           N..8
31[0-6][0-5] 32[0-9][0-5]       N6
33[0-7][0-5] 34[0-9][0-5]       N6
35[0-7][0-5] 36[0-9][0-5]       N6
390[0-9] 392[0-9]               N..15
391[0-9] 393[0-9]               N3 N..15
394[0-3]                        N4
395[0-5]                        N6
400 403                         X..30
401                             X..30:prefix ; key
402                             N17:check ; key
410 411 412 413 416             N13:check
414                             N13:check ; key 254 | 7040
415                             N13:check ; key 8020
417                             N13:check ; key 7040
420                             X..20
421                             N3:country X..9
422 424 426                     N3:country
423 425                         N3:country N3?:country N3?:country N3?:country N3?:country
427                             X..3
4300 4301 4310 4311 4320        X..35:escapes
430[2-6] 431[2-6]               X..70:escapes
4307 4317                       X2:letters
4308 4319                       X..30
4309                            N10:latitude N10:longitude
4318                            X..20
432[1-3]                        N1:bit
4324 4325                       N6:day0 N4:time
4326                            N6:day
433[0-3]                        N6 X1?:hyphen
7001                            N13
7002                            X..30
7003                            N6:day N4:time
7004                            N..4
7005                            X..12
7006                            N6:day
7007                            N6:day N6?:day
7008                            X..3
7009                            X..10
7010                            X..2
7011                            N6:day N4?:time
7020 7021 7022                  X..20
7023                            X..30:prefix
703[0-9]                        N3:processor X..27
7040                            N1 X1 X1 X1:importer ; no attribute
7041                            X..4 ; no attribute
71[0-7]                         X..20
723[0-9]                        X2 X..28
7240                            X..20
7241                            N2:medium
7242                            X..25
7250                            N8:date
7251                            N8:date N4:time
7252                            N1:sex
7253 7254 7259                  X..40:escapes
7255                            X..10
7256                            X..90:escapes
7257                            X..70:escapes
7258                            X3:position
8001                            N4:nonzero N5:nonzero N3:nonzero N1:winding N1
8002                            X..20
8003                            N1:zero N13:check X..16? ; key
8004                            X..30:prefix ; key 7040
8005                            N6
8006                            N14:check N4:piece ; key 22 10 21
8007                            X..34:iban
8008                            N6:day N2:hour N2?:sixty N2?:sixty
8009                            X..50
8010                            Y..30:prefix ; key 8011
8011                            N..12:leading ; no attribute
8012                            X..20
8013                            X..25:pair:prefix ; key
8014                            X..25:pair:prefix:model ; no attribute
8017 8018                       N18:check ; key 8019
8019                            N..10 ; no attribute
8020                            X..25 ; no attribute
8026                            N14:check N4:piece
8030                            Z..90
8040 8041                       N15 ; no attribute
8042                            N32 ; no attribute
8043                            N18 N..2? ; no attribute
8110 8112                       X..70
8111                            N4
8200                            X..70 ; no attribute
90                              X..30
9[1-9]                          X..90
"""

# ISO 3166-1 numeric codes.
_COUNTRIES = """
004 008 010 012 016 020 024 028 031 032 036 040 044 048 050 051 052 056 060 064 068 070
072 074 076 084 086 090 092 096 100 104 108 112 116 120 124 132 136 140 144 148 152 156
158 162 166 170 174 175 178 180 184 188 191 192 196 203 204 208 212 214 218 222 226 231
232 233 234 238 239 242 246 248 250 254 258 260 262 266 268 270 275 276 288 292 296 300
304 308 312 316 320 324 328 332 334 336 340 344 348 352 356 360 364 368 372 376 380 384
388 392 398 400 404 408 410 414 417 418 422 426 428 430 434 438 440 442 446 450 454 458
462 466 470 474 478 480 484 492 496 498 499 500 504 508 512 516 520 524 528 531 533 534
535 540 548 554 558 562 566 570 574 578 580 581 583 584 585 586 591 598 600 604 608 612
616 620 624 626 630 634 638 642 643 646 652 654 659 660 662 663 666 670 674 678 682 686
688 690 694 702 703 704 705 706 710 716 724 728 729 732 740 744 748 752 756 760 762 764
768 772 776 780 784 788 792 795 796 798 800 804 807 818 826 831 832 833 834 840 850 854
858 860 862 876 882 887 894
"""
COUNTRIES = frozenset(_COUNTRIES.split())

NAMES = {
    "00": "SSCC",
    "01": "GTIN",
    "10": "lot",
    "21": "serial number",
    "22": "consumer product variant",
    "235": "third-party serial number",
    "253": "GDTI",
    "254": "GLN extension",
    "255": "GCN",
    "401": "GINC",
    "402": "GSIN",
    "414": "GLN of a location",
    "415": "GLN of an invoicing party",
    "417": "GLN of a party",
    "8003": "GRAI",
    "8004": "GIAI",
    "8006": "ITIP",
    "8010": "CPID",
    "8013": "GMN",
    "8017": "GSRN of a provider",
    "8018": "GSRN of a recipient",
}

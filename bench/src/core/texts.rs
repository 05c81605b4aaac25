//! What people write, made up: twelve languages, of which a third is not written in Latin letters.
//!
//! Each has its everyday words and a tail of rare ones put together from syllables, drawn by Zipf's law, so that a search
//! index grows and answers as it does over real chats.

use super::rng::Rng;

/// The shortest and longest text, in characters.
pub(crate) const LENGTHS: std::ops::RangeInclusive<usize> = 5..=300;
/// Different words of one language.
const VOCABULARY: usize = 20_000;

/// A language: how often it is met, how its words are set apart, what they are.
#[derive(Debug)]
pub(crate) struct Language {
    weight: usize,
    space: &'static str,
    everyday: &'static [&'static str],
    syllables: &'static [&'static str],
}

const LATIN: &[&str] = &[
    "ca", "lo", "mi", "ra", "te", "su", "pe", "no", "ver", "dan", "tri", "gos", "ella", "pun", "bri", "chi", "mar",
    "quen", "fol", "ster", "zu", "wen", "ha", "ley", "cor", "di", "plo", "gen", "ta", "os",
];

/// The first is the commonest.
pub(crate) const LANGUAGES: [Language; 12] = [
    Language {
        weight: 30,
        space: " ",
        everyday: &[
            "que", "no", "de", "la", "y", "a", "el", "en", "es", "me", "te", "lo", "un", "si", "por", "ya", "pero",
            "con", "para", "mañana", "gracias", "bien", "cuando", "hoy", "casa", "donde", "ahora", "también", "dónde",
            "luego", "trabajo", "claro", "besos", "hola", "vamos", "llego", "tarde", "quieres", "café", "perdón",
        ],
        syllables: LATIN,
    },
    Language {
        weight: 22,
        space: " ",
        everyday: &[
            "the", "i", "you", "to", "a", "and", "it", "is", "in", "that", "of", "me", "on", "for", "my", "ok", "so",
            "we", "be", "just", "what", "not", "at", "yes", "good", "see", "tomorrow", "thanks", "home", "late",
            "there", "when", "train", "coming", "dinner", "sorry", "don't", "maybe", "today", "meeting",
        ],
        syllables: LATIN,
    },
    Language {
        weight: 8,
        space: " ",
        everyday: &[
            "não",
            "que",
            "eu",
            "de",
            "é",
            "o",
            "a",
            "você",
            "para",
            "com",
            "amanhã",
            "obrigado",
            "bom",
            "está",
            "aqui",
            "então",
            "já",
            "agora",
            "casa",
            "coração",
            "também",
            "hoje",
            "muito",
            "beijo",
            "reunião",
            "chegar",
        ],
        syllables: LATIN,
    },
    Language {
        weight: 6,
        space: " ",
        everyday: &[
            "ich",
            "das",
            "ist",
            "du",
            "nicht",
            "die",
            "und",
            "wir",
            "morgen",
            "schön",
            "danke",
            "heute",
            "später",
            "können",
            "Straße",
            "vielleicht",
            "Zug",
            "gut",
            "ja",
            "nein",
            "über",
            "zurück",
            "Grüße",
            "Besprechung",
        ],
        syllables: LATIN,
    },
    Language {
        weight: 4,
        space: " ",
        everyday: &[
            "allin",
            "ñuqa",
            "qam",
            "mana",
            "kani",
            "wasi",
            "paqarin",
            "kunan",
            "yachay",
            "munani",
            "hampuy",
            "tuta",
            "punchaw",
            "mikuy",
            "llaqta",
            "sulpayki",
            "imaynalla",
            "rimanakuy",
            "chaski",
            "ñan",
            "sumaq",
            "warmi",
        ],
        syllables: LATIN,
    },
    Language {
        weight: 8,
        space: " ",
        everyday: &[
            "не",
            "я",
            "что",
            "и",
            "ты",
            "в",
            "на",
            "это",
            "как",
            "да",
            "нет",
            "завтра",
            "спасибо",
            "хорошо",
            "сегодня",
            "дома",
            "буду",
            "когда",
            "уже",
            "потом",
            "привет",
            "конечно",
            "ещё",
            "можно",
            "встреча",
            "поезд",
            "утром",
        ],
        syllables: &[
            "ка", "ло", "ми", "ра", "те", "су", "пе", "но", "вер", "дан", "при", "гос", "ный", "ство", "жу", "чи",
        ],
    },
    Language {
        weight: 6,
        space: " ",
        everyday: &[
            "في",
            "من",
            "أنا",
            "على",
            "لا",
            "ما",
            "هل",
            "نعم",
            "شكرا",
            "غدا",
            "اليوم",
            "البيت",
            "الآن",
            "متى",
            "مرحبا",
            "جيد",
            "إلى",
            "كيف",
            "العمل",
            "القطار",
            "معك",
            "صباح",
            "الخير",
            "سوف",
            "أين",
            "الاجتماع",
        ],
        syllables: &["با", "تو", "سي", "من", "كر", "لا", "مد", "حس", "قو", "شر", "عل", "في", "نو", "جا"],
    },
    Language {
        weight: 4,
        space: " ",
        everyday: &[
            "है",
            "मैं",
            "नहीं",
            "क्या",
            "हाँ",
            "कल",
            "आज",
            "घर",
            "धन्यवाद",
            "अच्छा",
            "ठीक",
            "अब",
            "कब",
            "कहाँ",
            "नमस्ते",
            "काम",
            "बहुत",
            "तुम",
            "आप",
            "चलो",
            "खाना",
            "सुबह",
            "शाम",
            "ट्रेन",
            "मिलते",
        ],
        syllables: &["का", "मि", "रा", "ते", "सु", "पे", "नो", "वि", "दा", "गो", "ला", "शा"],
    },
    Language {
        weight: 5,
        space: "",
        everyday: &[
            "我", "你", "的", "了", "不", "是", "在", "好", "我们", "明天", "今天", "去", "吃饭", "什么", "谢谢",
            "现在", "晚上", "北京", "可以", "知道", "时候", "回家", "工作", "火车", "没有", "咖啡", "见面", "朋友",
        ],
        syllables: &[
            "天", "地", "人", "山", "水", "火", "木", "金", "土", "日", "月", "星", "风", "雨", "雪", "花", "鸟", "鱼",
            "书", "画", "车", "船", "路", "门", "窗", "桌", "茶", "米", "电", "话", "机", "学", "校", "医", "院", "市",
            "场", "城",
        ],
    },
    Language {
        weight: 4,
        space: "",
        everyday: &[
            "です",
            "は",
            "の",
            "に",
            "が",
            "明日",
            "今日",
            "ありがとう",
            "東京",
            "タワー",
            "行きます",
            "会いましょう",
            "ご飯",
            "はい",
            "いいえ",
            "電車",
            "仕事",
            "家",
            "何時",
            "大丈夫",
            "ちょっと",
            "コーヒー",
            "楽しみ",
            "遅れる",
        ],
        syllables: &[
            "か", "き", "た", "な", "ま", "ら", "さ", "し", "ト", "リ", "ン", "ス", "新", "高", "田", "川", "本", "中",
        ],
    },
    Language {
        weight: 2,
        space: " ",
        everyday: &[
            "내일",
            "오늘",
            "서울에서",
            "만나요",
            "네",
            "아니요",
            "고마워",
            "집에",
            "지금",
            "저녁",
            "언제",
            "어디",
            "좋아",
            "회사",
            "기차",
            "커피",
            "친구",
            "괜찮아",
            "늦을게",
            "안녕",
        ],
        syllables: &["가", "나", "다", "라", "마", "바", "사", "아", "자", "하", "고", "노", "도", "로", "기", "니"],
    },
    Language {
        weight: 1,
        space: "",
        everyday: &[
            "ฉัน",
            "คุณ",
            "ไม่",
            "ไป",
            "พรุ่งนี้",
            "วันนี้",
            "ขอบคุณ",
            "กินข้าว",
            "บ้าน",
            "ดี",
            "มา",
            "ที่",
            "แล้ว",
            "ครับ",
            "ค่ะ",
            "รถไฟ",
            "เมื่อไหร่",
            "ทำงาน",
        ],
        syllables: &["กา", "มี", "รู", "แต", "สุ", "โต", "นา", "ดี", "ลา", "พร", "ชา", "ไท"],
    },
];

/// A language as often as it is met.
pub(crate) fn language(rng: &mut Rng) -> &'static Language {
    let all: usize = LANGUAGES.iter().map(|language| language.weight).sum();
    let mut drawn = rng.below(all);
    for language in &LANGUAGES {
        match drawn.checked_sub(language.weight) {
            Some(rest) => drawn = rest,
            None => return language,
        }
    }
    &LANGUAGES[0]
}

impl Language {
    /// The word of that rank; 0 is the commonest.
    pub(crate) fn word(&self, rank: usize) -> String {
        if let Some(word) = self.everyday.get(rank) {
            return (*word).to_owned();
        }
        // The commoner ones are the shorter ones, as in any language.
        let (mut word, mut rest) = (String::new(), rank);
        while rest > 0 {
            word.push_str(self.syllables[rest % self.syllables.len()]);
            rest /= self.syllables.len();
        }
        word
    }

    /// A message; most are short.
    pub(crate) fn text(&self, rng: &mut Rng) -> String {
        let (shortest, longest) = (*LENGTHS.start(), *LENGTHS.end());
        let length = shortest + ((longest - shortest) as f64 * rng.fraction().powi(4)) as usize;
        let mut text = String::new();
        let mut count = 0;
        while count < length {
            let word = self.word(rng.zipf(VOCABULARY));
            count += word.chars().count() + self.space.len();
            text.push_str(&word);
            text.push_str(self.space);
        }
        match text.char_indices().nth(longest) {
            Some((end, _)) => text.truncate(end),
            None => text.truncate(text.trim_end().len()),
        }
        text
    }
}

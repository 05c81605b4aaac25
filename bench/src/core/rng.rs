//! All chance comes from here, so that every run has the same mail: SplitMix64 (Steele, Lea, Flood 2014).

#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.fraction() * bound as f64) as usize
    }

    /// Below `bound`; the smaller, the likelier, as words of a language and chats of a person are (Zipf).
    pub(crate) fn zipf(&mut self, bound: usize) -> usize {
        let rank = ((bound + 1) as f64).powf(self.fraction());
        (rank as usize).clamp(1, bound) - 1
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next() as u8)
    }

    /// A UUIDv7 of this time.
    pub(crate) fn id<T: From<uuid::Uuid>>(&mut self, millis: i64) -> T {
        let random = self.bytes();
        T::from(uuid::Builder::from_unix_timestamp_millis(millis.cast_unsigned(), &random).into_uuid())
    }
}

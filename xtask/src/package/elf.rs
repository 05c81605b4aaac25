//! Whether a shared library can be loaded on devices with pages of 16 KiB. Reads ELF headers (System V ABI, chapter 4 and 5),
//! 32 and 64 bits, little-endian: all that Android has.

/// Bytes.
const PAGE: u64 = 16 * 1024;
const LOAD: u32 = 1;

/// Refuses a library that a device with pages of 16 KiB would refuse.
///
/// # Errors
/// Why.
pub(crate) fn check_alignment(library: &[u8]) -> Result<(), String> {
    let segments = load_segments(library).ok_or("it is no little-endian ELF file, or is cut off")?;
    if segments.is_empty() {
        return Err("nothing of it is loaded".to_owned());
    }
    for segment in segments {
        if segment.align < PAGE || segment.align % PAGE != 0 {
            return Err(format!("a LOAD segment is aligned to {} bytes instead of {PAGE}", segment.align));
        }
        if segment.address % PAGE != segment.offset % PAGE {
            return Err("a LOAD segment lies elsewhere in its page than in the file".to_owned());
        }
    }
    Ok(())
}

struct Segment {
    offset: u64,
    address: u64,
    align: u64,
}

fn load_segments(elf: &[u8]) -> Option<Vec<Segment>> {
    let is_64 = match elf.get(..6)? {
        [0x7f, b'E', b'L', b'F', 2, 1] => true,
        [0x7f, b'E', b'L', b'F', 1, 1] => false,
        _ => return None,
    };
    let short = |at: usize| Some(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_le_bytes(elf.get(at..at + 4)?.try_into().ok()?));
    // An address or offset: as long as the machine's.
    let long = |at: usize| match is_64 {
        true => Some(u64::from_le_bytes(elf.get(at..at + 8)?.try_into().ok()?)),
        false => word(at).map(u64::from),
    };
    let (table, size, count) =
        if is_64 { (long(32)?, short(54)?, short(56)?) } else { (long(28)?, short(42)?, short(44)?) };
    let mut segments = Vec::new();
    for number in 0..usize::from(count) {
        let at = usize::try_from(table).ok()?.checked_add(number * usize::from(size))?;
        if word(at)? == LOAD {
            let [offset, address, align] = if is_64 { [8, 16, 48] } else { [4, 8, 28] };
            segments.push(Segment {
                offset: long(at + offset)?,
                address: long(at + address)?,
                align: long(at + align)?,
            });
        }
    }
    Some(segments)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A library with one LOAD segment.
    pub(crate) fn library(is_64: bool, align: u64, address: u64) -> Vec<u8> {
        let mut elf = vec![0; 256];
        let mut put = |at: usize, bytes: &[u8]| elf[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"\x7fELF");
        put(4, &[if is_64 { 2 } else { 1 }, 1]);
        if is_64 {
            put(32, &64u64.to_le_bytes());
            put(54, &[56, 0, 1, 0]);
            put(64, &1u32.to_le_bytes());
            put(64 + 16, &address.to_le_bytes());
            put(64 + 48, &align.to_le_bytes());
        } else {
            put(28, &52u32.to_le_bytes());
            put(42, &[32, 0, 1, 0]);
            put(52, &1u32.to_le_bytes());
            put(52 + 8, &u32::try_from(address).unwrap().to_le_bytes());
            put(52 + 28, &u32::try_from(align).unwrap().to_le_bytes());
        }
        elf
    }

    #[test]
    fn pages_of_four_kib_are_refused() {
        for is_64 in [true, false] {
            assert_eq!(check_alignment(&library(is_64, 0x4000, 0)), Ok(()));
            assert_eq!(check_alignment(&library(is_64, 0x10000, 0x8000)), Ok(()));
            let refused = check_alignment(&library(is_64, 0x1000, 0)).unwrap_err();
            assert_eq!(refused, "a LOAD segment is aligned to 4096 bytes instead of 16384");
            assert!(check_alignment(&library(is_64, 0x4000, 0x1000)).is_err(), "elsewhere in its page");
        }
    }

    #[test]
    fn what_is_no_library_is_refused() {
        let whole = library(true, 0x4000, 0);
        for file in [&b""[..], b"\x7fELF", b"MZ and more of it", &whole[..100]] {
            assert!(check_alignment(file).is_err());
        }
    }
}

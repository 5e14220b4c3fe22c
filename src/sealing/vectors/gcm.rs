//! GCM's field and hash (NIST SP 800-38D) and the key derivation of XAES-256-GCM (C2SP), bit by
//! bit as the standards write them. They share nothing with what the store calls.

/// A block of 16 bytes as a number; the first bit of the first byte is the highest.
pub(super) type Block = u128;

/// `1` in the field, whose lowest power comes first.
pub(super) const ONE: Block = 1 << 127;

/// The product in GF(2^128) (SP 800-38D, section 6.3).
pub(super) fn times(x: Block, y: Block) -> Block {
    let (mut product, mut shifted) = (0, y);
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            product ^= shifted;
        }
        let carry = if shifted & 1 == 1 { 0xE1 << 120 } else { 0 };
        shifted = shifted >> 1 ^ carry;
    }
    product
}

/// `x` to the power of 2^128 - 2, which is what undoes a product with `x`.
pub(super) fn inverse(x: Block) -> Block {
    let (mut result, mut square) = (ONE, x);
    for _ in 1..128 {
        square = times(square, square);
        result = times(result, square);
    }
    result
}

/// What GHASH runs over: associated data and ciphertext, each filled up with zeros, and their
/// lengths (SP 800-38D, section 7.1).
pub(super) fn hashed(associated: &[u8], ciphertext: &[u8]) -> Vec<Block> {
    let bits = |bytes: &[u8]| bytes.len() as Block * 8;
    let mut blocks = blocks(associated);
    blocks.extend(self::blocks(ciphertext));
    blocks.push(bits(associated) << 64 | bits(ciphertext));
    blocks
}

/// GHASH (SP 800-38D, section 6.4).
pub(super) fn ghash(h: Block, blocks: &[Block]) -> Block {
    blocks.iter().fold(0, |sum, block| times(sum ^ block, h))
}

/// The blocks that a 96-bit nonce makes of the counter `count`; 1 masks the tag.
pub(super) fn counter(nonce: &[u8; 12], count: u32) -> Block {
    blocks(nonce)[0] | Block::from(count)
}

/// What the input key encrypts to give the GCM key, where `l` is the encrypted zero block (C2SP
/// XAES-256-GCM, steps 2 to 5).
pub(super) fn xaes_inputs(l: Block, nonce: &[u8; 24]) -> [Block; 2] {
    let k1 = l << 1 ^ if l >> 127 == 1 { 0x87 } else { 0 };
    xaes_messages(nonce).map(|message| message ^ k1)
}

/// M1 and M2: a counter of 16 bits, `X`, zero, the first half of the nonce (steps 3 and 4).
pub(super) fn xaes_messages(nonce: &[u8; 24]) -> [Block; 2] {
    [1, 2].map(|count: u8| {
        let mut message = [0; 16];
        message[1] = count;
        message[2] = b'X';
        message[4..].copy_from_slice(&nonce[..12]);
        Block::from_be_bytes(message)
    })
}

fn blocks(bytes: &[u8]) -> Vec<Block> {
    let filled = |part: &[u8]| {
        let mut block = [0; 16];
        block[..part.len()].copy_from_slice(part);
        Block::from_be_bytes(block)
    };
    bytes.chunks(16).map(filled).collect()
}

/// Test case 2 of the GCM submission: key and plaintext all zero.
#[test]
fn the_hash_is_that_of_the_gcm_submission() {
    let h = 0x66e9_4bd4_ef8a_2c3b_884c_fa59_ca34_2b2e;
    let ciphertext = 0x0388_dace_60b6_a392_f328_c2b9_71b2_fe78_u128;
    let hash = ghash(h, &hashed(&[], &ciphertext.to_be_bytes()));
    assert_eq!(hash, 0xf38c_bb1a_d692_23dc_c345_7ae5_b6b0_f885);
    assert_eq!(times(h, inverse(h)), ONE);
}

/* SHA-256 (FIPS 180-4) of many messages at once, on one core.
 *
 * The SHA instructions of x86 wait for each other's results, so one message keeps their unit busy
 * for about half of the time. Here two messages are hashed in turns, block by block, in two lanes:
 * on the processors we know, in hardly more time than one of them alone.
 *
 * A message comes in slices of any length, over any number of calls. Called through ctypes by
 * sha256_lanes.py, which owns all memory.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { BLOCK = 64, LANES = 2 };

struct slice {
    const uint8_t *bytes;
    uint64_t size;
};

/* One message so far. `held` bytes of it, less than a block, wait in `tail`. */
struct context {
    uint32_t state[8];
    uint64_t size;
    uint64_t held;
    uint8_t tail[BLOCK];
};

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define SHA_CODE __attribute__((target("sha,sse4.1,ssse3")))

static const uint32_t INITIAL_STATE[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static const uint32_t ROUND_CONSTANTS[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* A message that is being hashed, and whole blocks of it that can be hashed next. */
struct lane {
    struct context *context;
    const struct slice *next_slice, *last_slice;
    const uint8_t *bytes;
    uint64_t size;
    const uint8_t *blocks;
    uint64_t block_count;
};

/* `count` blocks of each of the first `lanes` lanes. `lanes` is a constant wherever this is called,
 * and its loops are unrolled: what is written one after the other runs side by side. */
SHA_CODE static inline __attribute__((always_inline)) void
compress(const int lanes, struct lane *lane[], uint64_t count)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i abef[LANES], cdgh[LANES], words[LANES][4], abef_before[LANES], cdgh_before[LANES];
    const uint8_t *block[LANES];

    for (int l = 0; l < lanes; l++) {
        const __m128i *state = (const __m128i *)lane[l]->context->state;
        __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128(state), 0xB1);
        __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128(state + 1), 0x1B);
        abef[l] = _mm_alignr_epi8(cdab, efgh, 8);
        cdgh[l] = _mm_blend_epi16(efgh, cdab, 0xF0);
        block[l] = lane[l]->blocks;
        lane[l]->blocks += count * BLOCK;
        lane[l]->block_count -= count;
    }
    while (count--) {
        for (int l = 0; l < lanes; l++) {
            abef_before[l] = abef[l];
            cdgh_before[l] = cdgh[l];
        }
#pragma GCC unroll 16
        for (int r = 0; r < 16; r++) { /* four rounds each */
#pragma GCC unroll 2
            for (int l = 0; l < lanes; l++) {
                __m128i *w = words[l], sum;
                if (r < 4) {
                    sum = _mm_loadu_si128((const __m128i *)block[l] + r);
                    w[r] = _mm_shuffle_epi8(sum, big_endian);
                } else {
                    sum = _mm_sha256msg1_epu32(w[r & 3], w[(r + 1) & 3]);
                    sum = _mm_add_epi32(sum, _mm_alignr_epi8(w[(r + 3) & 3], w[(r + 2) & 3], 4));
                    w[r & 3] = _mm_sha256msg2_epu32(sum, w[(r + 3) & 3]);
                }
                sum = _mm_load_si128((const __m128i *)ROUND_CONSTANTS + r);
                sum = _mm_add_epi32(sum, w[r & 3]);
                cdgh[l] = _mm_sha256rnds2_epu32(cdgh[l], abef[l], sum);
                abef[l] = _mm_sha256rnds2_epu32(abef[l], cdgh[l], _mm_shuffle_epi32(sum, 0x0E));
            }
        }
        for (int l = 0; l < lanes; l++) {
            abef[l] = _mm_add_epi32(abef[l], abef_before[l]);
            cdgh[l] = _mm_add_epi32(cdgh[l], cdgh_before[l]);
            block[l] += BLOCK;
        }
    }
    for (int l = 0; l < lanes; l++) {
        __m128i *state = (__m128i *)lane[l]->context->state;
        __m128i feba = _mm_shuffle_epi32(abef[l], 0x1B);
        __m128i dchg = _mm_shuffle_epi32(cdgh[l], 0xB1);
        _mm_storeu_si128(state, _mm_blend_epi16(feba, dchg, 0xF0));
        _mm_storeu_si128(state + 1, _mm_alignr_epi8(dchg, feba, 8));
    }
}

SHA_CODE static void compress_one(struct lane *lane)
{
    compress(1, &lane, lane->block_count);
}

SHA_CODE static void compress_both(struct lane *first, struct lane *second)
{
    struct lane *lanes[LANES] = {first, second};
    uint64_t a = first->block_count, b = second->block_count;
    compress(LANES, lanes, a < b ? a : b);
}

/* Finds the next whole blocks: in a slice, or in the context's tail where slices meet inside of a
 * block. Returns 0 when the lane has no whole block any more; the rest is in the tail then. */
static int find_blocks(struct lane *lane)
{
    struct context *context = lane->context;
    for (;;) {
        while (lane->size == 0) {
            if (lane->next_slice == lane->last_slice)
                return 0;
            lane->bytes = lane->next_slice->bytes;
            lane->size = lane->next_slice->size;
            context->size += lane->size;
            lane->next_slice++;
        }
        uint64_t taken;
        if (context->held == 0 && lane->size >= BLOCK) {
            lane->blocks = lane->bytes;
            lane->block_count = lane->size / BLOCK;
            taken = lane->block_count * BLOCK;
        } else {
            uint64_t room = BLOCK - context->held;
            taken = lane->size < room ? lane->size : room;
            memcpy(context->tail + context->held, lane->bytes, taken);
            context->held += taken;
            if (context->held == BLOCK) {
                context->held = 0;
                lane->blocks = context->tail;
                lane->block_count = 1;
            }
        }
        lane->bytes += taken;
        lane->size -= taken;
        if (lane->block_count)
            return 1;
    }
}

/* Whether this processor has the instructions. */
int sha256_lanes_supported(void)
{
    unsigned int a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSSE3) || !(c & bit_SSE4_1))
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

void sha256_lanes_start(struct context *contexts, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        memcpy(contexts[i].state, INITIAL_STATE, sizeof INITIAL_STATE);
        contexts[i].size = contexts[i].held = 0;
    }
}

/* Continues `count` messages. What comes for message i are the slices from ends[i - 1] (or 0) up to
 * ends[i]. A lane that is through with its message takes the next one. */
void sha256_lanes_update(struct context *contexts, const struct slice *slices,
                         const uint64_t *ends, uint64_t count)
{
    struct lane lanes[LANES] = {{0}};
    uint64_t next = 0;
    for (;;) {
        for (int l = 0; l < LANES; l++) {
            struct lane *lane = &lanes[l];
            while (lane->block_count == 0 && !(lane->context && find_blocks(lane))) {
                lane->context = NULL;
                if (next == count)
                    break;
                lane->context = &contexts[next];
                lane->next_slice = slices + (next ? ends[next - 1] : 0);
                lane->last_slice = slices + ends[next];
                next++;
            }
        }
        if (lanes[0].context && lanes[1].context)
            compress_both(&lanes[0], &lanes[1]);
        else if (lanes[0].context)
            compress_one(&lanes[0]);
        else if (lanes[1].context)
            compress_one(&lanes[1]);
        else
            return;
    }
}

/* Ends the messages: writes 32 bytes for each. The contexts are used up. */
void sha256_lanes_finish(struct context *contexts, uint64_t count, uint8_t *digests)
{
    for (uint64_t i = 0; i < count; i++) {
        struct context *context = &contexts[i];
        uint8_t padding[2 * BLOCK] = {0};
        uint64_t bits = __builtin_bswap64(context->size * 8);
        memcpy(padding, context->tail, context->held);
        padding[context->held] = 0x80;
        uint64_t blocks = context->held + 1 + sizeof bits > BLOCK ? 2 : 1;
        memcpy(padding + blocks * BLOCK - sizeof bits, &bits, sizeof bits);
        struct lane lane = {.context = context, .blocks = padding, .block_count = blocks};
        compress_one(&lane);
        for (int word = 0; word < 8; word++) {
            uint32_t big_endian = __builtin_bswap32(context->state[word]);
            memcpy(digests + i * 32 + word * 4, &big_endian, 4);
        }
    }
}

#else /* no such instructions: the caller uses another implementation */

int sha256_lanes_supported(void) { return 0; }
void sha256_lanes_start(struct context *contexts, uint64_t count) { (void)contexts, (void)count; }
void sha256_lanes_update(struct context *contexts, const struct slice *slices,
                         const uint64_t *ends, uint64_t count)
{
    (void)contexts, (void)slices, (void)ends, (void)count;
}
void sha256_lanes_finish(struct context *contexts, uint64_t count, uint8_t *digests)
{
    (void)contexts, (void)count, (void)digests;
}

#endif

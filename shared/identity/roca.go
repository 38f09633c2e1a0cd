package identity

import "math/big"

// fingerprinted tells whether an RSA modulus was made by the Infineon library of CVE-2017-15361 (ROCA), whose keys can
// be factored. Its primes are powers of 65537 modulo the product of the small primes, hence so is the modulus; of other
// moduli fewer than one in a hundred million look like that. Source: Nemec et al., The Return of Coppersmith's Attack,
// CCS 2017, §5.1.
func fingerprinted(modulus *big.Int) bool {
	const generator, lastPrime = 65537, 167
	var rest big.Int
	for prime := int64(3); prime <= lastPrime; prime += 2 {
		if !big.NewInt(prime).ProbablyPrime(0) { // exact below 2^64
			continue
		}
		remainder := rest.Mod(modulus, big.NewInt(prime)).Int64()
		power, found := int64(1), false
		for range prime - 1 {
			found = found || power == remainder
			power = power * generator % prime
		}
		if !found {
			return false
		}
	}
	return true
}

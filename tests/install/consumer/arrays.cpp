// A program that uses the runtime alone.
#include <kiln/runtime.h>

#include <iostream>

int main() {
  kiln::write_npy("arrays.npy", kiln::Array::from({{1.f, 2.f}, {3.f, 4.f}}));
  std::cout << kiln::read_npy("arrays.npy") << '\n';
}

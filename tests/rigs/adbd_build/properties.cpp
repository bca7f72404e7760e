// System properties of a device that has none: "name=value" lines of the file $ADBD_PROPERTIES,
// set before main() runs.
#include <cstdlib>
#include <fstream>
#include <string>

#include <android-base/properties.h>

__attribute__((constructor)) static void set_properties() {
  const char* path = getenv("ADBD_PROPERTIES");
  if (path == nullptr) return;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const size_t end = line.find('=');
    if (end != std::string::npos) {
      android::base::SetProperty(line.substr(0, end), line.substr(end + 1));
    }
  }
}

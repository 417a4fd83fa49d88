"""The packages of this environment beside those of a lock."""

from streamflow.pipeline.environment import environment_differences, installed_packages, locked_packages


def test_this_environment_is_compared_with_a_lock_by_name_and_version():
    installed = installed_packages()
    lock = "".join(f"{name}=={version} \\\n    --hash=sha256:00\n" for name, version in installed.items())
    assert environment_differences(lock) == []
    assert locked_packages("A_b.C==1.2 \\\n    # via x==3\n") == {"a-b-c": "1.2"}
    version = installed["numpy"]
    other = lock.replace(f"numpy=={version} ", "numpy==0.0.1 ")
    assert environment_differences(other) == [f"numpy {version} (locked 0.0.1)"]
    assert environment_differences(lock + "absent-package==1.0 \\\n") == ["absent-package missing (locked 1.0)"]
